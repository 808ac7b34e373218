//! Lengths of time as people write them in a policy.

use std::borrow::Cow;
use std::fmt;

use agenttier_backup_plan::read_period;
use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time such as `15m`, `6h`, `14d` or `1h30m`; a day has 24 hours, a week 7 days.
///
/// It is kept as written: only its meaning is compared, and what cannot be read is reported by
/// [`Period::duration`], so that one bad policy never stops the watch over all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(String);

/// A length of time that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time such as 15m, 6h, 14d or 1h30m")]
pub struct PeriodError(String);

impl Period {
    /// The length of time.
    ///
    /// # Errors
    /// When it is not of the form that the schema asks for.
    pub fn duration(&self) -> Result<SignedDuration, PeriodError> {
        read_period(&self.0).ok_or_else(|| PeriodError(self.0.clone()))
    }

    /// The units that the schema lets through, longest first, with their seconds.
    const UNITS: [(char, u32); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

    /// A CEL expression for the seconds of the period that `field` names, for rules in a schema. It holds for
    /// every string that matches the pattern; CEL's own `duration()` knows neither days nor weeks.
    pub(super) fn in_cel(field: &str) -> String {
        let units = Self::UNITS.map(|(unit, seconds)| {
            // A unit that is missing counts as "0".
            format!("int('0' + {field}.find('[0-9]+{unit}').replace('{unit}', '')) * {seconds}")
        });
        units.join(" + ")
    }

    /// Units from long to short, each at most once: jiff reads no others.
    fn pattern() -> String {
        let units = Self::UNITS.map(|(unit, _)| format!("([1-9][0-9]{{0,5}}{unit})?"));
        format!("^{}$", units.concat())
    }
}

impl From<&str> for Period {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time such as 15m, 6h, 14d or 1h30m.",
            "minLength": 2,
            "maxLength": 32,
            "pattern": Self::pattern(),
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("15s", 15),
            ("15m", 900),
            ("6h", 21_600),
            ("14d", 1_209_600),
            ("2w", 1_209_600),
            ("1h30m", 5_400),
        ] {
            let duration = Period::from(text).duration().expect(text);
            assert_eq!(duration, SignedDuration::from_secs(seconds), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_the_schema_lets_through_is_read(text in Period::pattern().trim_matches(['^', '$'])) {
            let duration = Period::from(text.as_str()).duration();
            prop_assert_eq!(duration.is_ok(), !text.is_empty(), "{:?}", text);
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "0s", "-1h", "6", "six hours", "1y", "3mo", "1e3h"] {
            assert!(Period::from(text).duration().is_err(), "{text}");
        }
    }
}
