//! Held against what Go itself says.

use proptest::prelude::*;

use super::*;

/// Text, and the nanoseconds and text that Go 1.26's `time.ParseDuration` and `Duration.String` make of it.
const READ: &[(&str, i64, &str)] = &[
    ("0", 0, "0s"),
    ("0s", 0, "0s"),
    ("-0s", 0, "0s"),
    ("336h", 1_209_600_000_000_000, "336h0m0s"),
    ("336h0m0s", 1_209_600_000_000_000, "336h0m0s"),
    ("720h0m0s", 2_592_000_000_000_000, "720h0m0s"),
    ("1.5h", 5_400_000_000_000, "1h30m0s"),
    ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
    ("1h30m", 5_400_000_000_000, "1h30m0s"),
    ("90m", 5_400_000_000_000, "1h30m0s"),
    ("1h1h", 7_200_000_000_000, "2h0m0s"),
    ("300ms", 300_000_000, "300ms"),
    ("1ms2us", 1_002_000, "1.002ms"),
    ("+5s", 5_000_000_000, "5s"),
    ("5.s", 5_000_000_000, "5s"),
    (".5s", 500_000_000, "500ms"),
    ("-.5ms", -500_000, "-500µs"),
    ("1m", 60_000_000_000, "1m0s"),
    ("2.5m", 150_000_000_000, "2m30s"),
    ("3600s", 3_600_000_000_000, "1h0m0s"),
    ("1us", 1_000, "1µs"),
    ("1\u{b5}s", 1_000, "1µs"),
    ("1\u{3bc}s", 1_000, "1µs"),
    ("1.5us", 1_500, "1.5µs"),
    ("100ns", 100, "100ns"),
    ("0.0000000001s", 0, "0s"),
    ("1.000000001s", 1_000_000_001, "1.000000001s"),
    ("39h9m14.425s", 140_954_425_000_000, "39h9m14.425s"),
    ("107374182.4s", 107_374_182_400_000_000, "29826h9m42.4s"),
    ("0.9223372036854775807h", 3_320_413_933_267, "55m20.413933267s"),
    ("0.3333333333333333333h", 1_200_000_000_000, "20m0s"),
    ("0.100000000000000000000h", 360_000_000_000, "6m0s"),
    ("0.1000000000000000055511151231257827021181583404541015625h", 360_000_000_000, "6m0s"),
    ("9223372036854775807ns", i64::MAX, "2562047h47m16.854775807s"),
    ("2562047h47m16.854775807s", i64::MAX, "2562047h47m16.854775807s"),
    ("-9223372036854775808ns", i64::MIN, "-2562047h47m16.854775808s"),
];

/// What Go 1.26 refuses.
const REFUSED: &[&str] = &[
    "",
    "14d",
    "3",
    "-",
    ".s",
    "+.s",
    "1 h",
    "1H",
    "1e3s",
    "1..5s",
    "1,5s",
    "--5s",
    "- 5s",
    "3000000h",
    "9223372036854775808ns",
    "-9223372036854775809ns",
    "9223372036854775.808us",
    "2562047.788015216h",
    "99999999999999999999999999s",
];

#[test]
fn reads_and_prints_as_go_does() {
    for (text, nanoseconds, printed) in READ {
        let duration: GoDuration = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(duration.nanoseconds(), *nanoseconds, "{text}");
        assert_eq!(duration.to_string(), *printed, "{text}");
    }
}

#[test]
fn refuses_what_go_refuses() {
    for text in REFUSED {
        assert_eq!(text.parse::<GoDuration>(), Err(GoDurationError((*text).to_owned())));
    }
}

#[test]
fn is_a_string_in_json() {
    let ttl: GoDuration = serde_json::from_str(r#""336h""#).expect("Go's notation");
    assert_eq!(serde_json::to_string(&ttl).expect("a string"), r#""336h0m0s""#);
    let error = serde_json::from_str::<GoDuration>(r#""14d""#).expect_err("days").to_string();
    assert!(error.contains("there are no days"), "{error}");
    serde_json::from_str::<GoDuration>("14").expect_err("a number");
}

#[test]
fn too_long_for_go() {
    let century = SignedDuration::from_hours(100 * 365 * 24);
    assert_eq!(GoDuration::try_from(century).map(SignedDuration::from), Ok(century));
    GoDuration::try_from(century * 3).expect_err("more than 292 years");
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(nanoseconds: i64) {
        let duration = GoDuration::from_nanoseconds(nanoseconds);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn small_ones_too(nanoseconds in -10_000_000_000_i64..10_000_000_000) {
        let duration = GoDuration::from_nanoseconds(nanoseconds);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn parts_add_up(hours in 0_i64..100_000, minutes in 0_i64..10_000, seconds in 0_i64..10_000) {
        let text = format!("{hours}h{minutes}m{seconds}s");
        let duration: GoDuration = text.parse().expect("in range");
        prop_assert_eq!(SignedDuration::from(duration).as_secs(), hours * 3600 + minutes * 60 + seconds);
    }

    #[test]
    fn nothing_panics(text in "[-+]?[0-9.a-zµ ]{0,40}") {
        let _ = text.parse::<GoDuration>();
    }
}
