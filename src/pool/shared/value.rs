//! Values: any JSON, kept as the text it came as and changed by one at a time.

use super::params::{Params, Refusal};
use super::{Asked, Shared};
use crate::json::{Json, same_value};
use crate::protocol::INVALID_PARAMS;
use serde_json::Number;

/// What a value counts at least: so much it takes in its place, and no sum of numbers is longer.
const WEIGHT_MIN: usize = 24;

impl Shared {
    pub(super) fn value_change(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        if !self.values.contains_key(name) {
            self.store(name, params.initial())?;
        }
        let current = &self.values[name];
        let mut verdict = "";
        match asked.method {
            "value.set" => self.store(name, params.value()?)?,
            "value.add" => self.store(name, &add(current, params.amount())?)?,
            "value.cas" if same_value(current, params.expected()?) => {
                self.store(name, params.new_value()?)?;
                verdict = r#""swapped":true,"#;
            }
            "value.cas" => verdict = r#""swapped":false,"#,
            _ => {}
        }
        let result = format!(r#"{{{verdict}"value":{}}}"#, self.values[name]);
        self.answer(asked.party, asked.id, result);
        Ok(())
    }

    fn store(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let weight = |value: &str| value.len().max(WEIGHT_MIN);
        let before = self.values.get(name).map_or(0, |value| weight(value));
        self.keep_bytes(weight(value), before)?;
        self.values.insert(name.into(), Json::known(value));
        Ok(())
    }
}

/// A number that can be added to.
enum Term {
    Whole(i128),
    Float(f64),
}

impl Term {
    fn parse(json: &str) -> Result<Self, Refusal> {
        let refused = |why: &str| (INVALID_PARAMS, why.to_owned());
        if !json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(refused("only numbers can be added"));
        }
        if json.contains(['.', 'e', 'E']) {
            return json.parse().map(Term::Float).map_err(|_| refused("only numbers can be added"));
        }
        let whole = json.parse().ok().filter(|whole| WHOLE.contains(whole));
        whole.map(Term::Whole).ok_or_else(|| refused("a whole number over 64 bits cannot be added to, nor be added"))
    }

    fn as_float(&self) -> f64 {
        match *self {
            Term::Whole(whole) => whole as f64,
            Term::Float(float) => float,
        }
    }
}

/// The whole numbers of 64 bits, with a sign or without.
const WHOLE: std::ops::RangeInclusive<i128> = i64::MIN as i128..=u64::MAX as i128;

/// Whole numbers add exactly, or not at all.
fn add(value: &str, amount: &str) -> Result<String, Refusal> {
    match (Term::parse(value)?, Term::parse(amount)?) {
        (Term::Whole(a), Term::Whole(b)) if WHOLE.contains(&(a + b)) => Ok((a + b).to_string()),
        (Term::Whole(_), Term::Whole(_)) => Err((INVALID_PARAMS, "the sum is over 64 bits".into())),
        (a, b) => {
            let sum = Number::from_f64(a.as_float() + b.as_float());
            sum.map(|sum| sum.to_string()).ok_or((INVALID_PARAMS, "the sum is no finite number".into()))
        }
    }
}
