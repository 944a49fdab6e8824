//! Shared state by name: locks, semaphores, values, events, barriers and queues that the supervisor keeps for all workers
//! of a run.

use super::context::{Context, with_timeout};
use super::failure::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// A lock or a place in a semaphore, held until it is dropped.
#[derive(Debug)]
#[must_use = "it is released when it is dropped"]
pub struct Guard<'a> {
    context: &'a Context<'a>,
    method: &'static str,
    name: String,
    more: Json,
    previous_holder_died: bool,
}

impl Guard<'_> {
    /// Whether the one who held it last ended without releasing it, so that what it protects may be half done.
    pub fn previous_holder_died(&self) -> bool {
        self.previous_holder_died
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.context.tell(self.method, &self.name, self.more.take());
    }
}

impl Context<'_> {
    /// Waits for the lock of this name, first come, first served.
    ///
    /// # Errors
    ///
    /// Code -32010 when waiting would be a deadlock.
    pub fn lock(&self, name: &str) -> Result<Guard<'_>, Failure> {
        let held = self.lock_for(name, None)?;
        held.ok_or_else(|| Failure::new(format!("the lock {name:?} was not given")))
    }

    /// As [`lock`](Self::lock), no longer than this; `None` when the time has passed.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    pub fn try_lock(&self, name: &str, timeout: Duration) -> Result<Option<Guard<'_>>, Failure> {
        self.lock_for(name, Some(timeout))
    }

    fn lock_for(&self, name: &str, timeout: Option<Duration>) -> Result<Option<Guard<'_>>, Failure> {
        let answer = self.ask("lock.acquire", name, with_timeout(json!({}), timeout))?;
        Ok(self.guard(&answer, "lock.release", name, json!({})))
    }

    /// Waits for one of `count` places in the semaphore of this name.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn semaphore(&self, name: &str, count: u64) -> Result<Guard<'_>, Failure> {
        let answer = self.ask("semaphore.acquire", name, json!({"value": count}))?;
        let held = self.guard(&answer, "semaphore.release", name, json!({"value": count}));
        held.ok_or_else(|| Failure::new(format!("the semaphore {name:?} was not given")))
    }

    fn guard(&self, answer: &Json, method: &'static str, name: &str, more: Json) -> Option<Guard<'_>> {
        let previous_holder_died = answer["previous_holder_died"] == true;
        (answer["acquired"] == true).then(|| Guard {
            context: self,
            method,
            name: name.into(),
            more,
            previous_holder_died,
        })
    }

    /// The value of this name, which is made with `initial` when it is first used.
    pub fn value<'c>(&'c self, name: &str, initial: impl Serialize) -> Value<'c> {
        let initial = serde_json::to_value(initial).unwrap_or_default();
        Value { context: self, name: name.into(), initial }
    }

    /// The event of this name.
    pub fn event<'c>(&'c self, name: &str) -> Event<'c> {
        Event { context: self, name: name.into() }
    }

    /// Waits until this many wait at the barrier of this name, and gives our place among them, from 0. `None` when the
    /// barrier is broken: somebody gave up, or `timeout` has passed.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn barrier(&self, name: &str, parties: u32, timeout: Option<Duration>) -> Result<Option<u64>, Failure> {
        let answer = self.ask("barrier.wait", name, with_timeout(json!({"parties": parties}), timeout))?;
        Ok(answer["index"].as_u64())
    }

    /// The queue of this name; `maxsize` 0 is one without a limit.
    pub fn queue<'c>(&'c self, name: &str, maxsize: u64) -> Queue<'c> {
        Queue { context: self, name: name.into(), maxsize }
    }
}

/// A value that all workers see; each change is one step.
#[derive(Debug)]
pub struct Value<'a> {
    context: &'a Context<'a>,
    name: String,
    initial: Json,
}

impl Value<'_> {
    /// What it is now.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.ask("value.get", json!({}))
    }

    /// Replaces it.
    ///
    /// # Errors
    ///
    /// When it has no form in JSON, or the supervisor refuses it.
    pub fn set(&self, value: impl Serialize) -> Result<(), Failure> {
        self.ask::<Json>("value.set", json!({"value": serde_json::to_value(value)?})).map(drop)
    }

    /// Adds to a number, and gives the sum.
    ///
    /// # Errors
    ///
    /// When it is no number.
    pub fn add<T: Serialize + DeserializeOwned>(&self, amount: T) -> Result<T, Failure> {
        self.ask("value.add", json!({"amount": serde_json::to_value(amount)?}))
    }

    /// Replaces it if it is what is expected, and says whether it was.
    ///
    /// # Errors
    ///
    /// When one of the two has no form in JSON, or the supervisor refuses it.
    pub fn compare_and_swap(&self, expected: impl Serialize, new: impl Serialize) -> Result<bool, Failure> {
        let (expected, new) = (serde_json::to_value(expected)?, serde_json::to_value(new)?);
        let params = json!({"initial": self.initial, "expected": expected, "new": new});
        Ok(self.context.ask("value.cas", &self.name, params)?["swapped"] == true)
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, mut params: Json) -> Result<T, Failure> {
        params["initial"] = self.initial.clone();
        Ok(serde_json::from_value(self.context.ask(method, &self.name, params)?["value"].take())?)
    }
}

/// A flag that others wait for.
#[derive(Debug)]
pub struct Event<'a> {
    context: &'a Context<'a>,
    name: String,
}

impl Event<'_> {
    /// Sets it: all who wait go on.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn set(&self) -> Result<(), Failure> {
        self.context.ask("event.set", &self.name, json!({})).map(drop)
    }

    /// Takes it back.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn clear(&self) -> Result<(), Failure> {
        self.context.ask("event.clear", &self.name, json!({})).map(drop)
    }

    /// Whether it is set.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn is_set(&self) -> Result<bool, Failure> {
        Ok(self.context.ask("event.is_set", &self.name, json!({}))?["set"] == true)
    }

    /// Waits until it is set, and says whether it is: `false` when `timeout` has passed.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Failure> {
        Ok(self.context.ask("event.wait", &self.name, with_timeout(json!({}), timeout))?["set"] == true)
    }
}

/// A queue between workers.
#[derive(Debug)]
pub struct Queue<'a> {
    context: &'a Context<'a>,
    name: String,
    maxsize: u64,
}

impl Queue<'_> {
    /// Puts something in, waiting while it is full; `false` when it still was after `timeout`.
    ///
    /// # Errors
    ///
    /// When the item has no form in JSON, or the supervisor refuses it.
    pub fn put(&self, item: impl Serialize, timeout: Option<Duration>) -> Result<bool, Failure> {
        let params = json!({"maxsize": self.maxsize, "item": serde_json::to_value(item)?});
        Ok(self.context.ask("queue.put", &self.name, with_timeout(params, timeout))?["ok"] == true)
    }

    /// Takes something out, waiting while it is empty; `None` when it still was after `timeout`.
    ///
    /// # Errors
    ///
    /// When the item is no `T`, or the supervisor refuses it.
    pub fn get<T: DeserializeOwned>(&self, timeout: Option<Duration>) -> Result<Option<T>, Failure> {
        let params = with_timeout(json!({"maxsize": self.maxsize}), timeout);
        let mut answer = self.context.ask("queue.get", &self.name, params)?;
        if answer["ok"] == true { Ok(Some(serde_json::from_value(answer["item"].take())?)) } else { Ok(None) }
    }

    /// How many are in it.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses it.
    pub fn size(&self) -> Result<u64, Failure> {
        let answer = self.context.ask("queue.size", &self.name, json!({"maxsize": self.maxsize}))?;
        Ok(answer["size"].as_u64().unwrap_or(0))
    }
}
