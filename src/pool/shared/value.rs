//! Values: any JSON, changed by one at a time.

use super::params::{Params, Refusal};
use super::{Asked, Shared};
use crate::protocol::INVALID_PARAMS;
use serde_json::{Number, Value, json};

impl Shared {
    pub(super) fn value_change(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        let current = match self.values.get(name) {
            Some(value) => value.clone(),
            None => {
                let initial = params.initial()?;
                self.store(name, initial.clone())?;
                initial
            }
        };
        let result = match asked.method {
            "value.set" => {
                self.store(name, params.value()?)?;
                json!({"value": params.value()?})
            }
            "value.add" => {
                let sum = add(&current, &params.amount()?)?;
                self.store(name, sum.clone())?;
                json!({"value": sum})
            }
            "value.cas" => {
                let swapped = current == params.expected()?;
                if swapped {
                    self.store(name, params.new_value()?)?;
                }
                json!({"swapped": swapped, "value": self.values[name]})
            }
            _ => json!({"value": current}),
        };
        self.answer(asked.party, asked.id, result);
        Ok(())
    }

    fn store(&mut self, name: &str, value: Value) -> Result<(), Refusal> {
        let weight = |value: &Value| if value.is_number() { 8 } else { value.to_string().len() };
        let before = self.values.get(name).map_or(0, weight);
        self.keep_bytes(weight(&value), before)?;
        self.values.insert(name.into(), value);
        Ok(())
    }
}

/// Whole numbers add exactly, or not at all.
fn add(value: &Value, amount: &Value) -> Result<Value, Refusal> {
    if let (Some(a), Some(b)) = (value.as_i64(), amount.as_i64()) {
        let sum = a.checked_add(b).ok_or((INVALID_PARAMS, "the sum is over 64 bits".to_owned()))?;
        return Ok(sum.into());
    }
    match (value.as_f64(), amount.as_f64()) {
        (Some(a), Some(b)) => {
            Number::from_f64(a + b).map(Value::Number).ok_or((INVALID_PARAMS, "the sum is no finite number".to_owned()))
        }
        _ => Err((INVALID_PARAMS, "only numbers can be added".into())),
    }
}
