//! Kubernetes quantities, as numbers that can be compared.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// More digits than any number of bytes has that Kubernetes can hold.
const DIGITS: usize = 19;
/// 2⁶³ − 1 bytes: Kubernetes takes whatever is more for this.
const MOST: u128 = ((1 << 63) - 1) * 1_000_000_000;

/// A quantity in billionths, which is as fine as Kubernetes itself is; what is finer is rounded up. None for a
/// negative one and for what is no quantity.
///
/// Source: the grammar and the limits in apimachinery's `resource.Quantity`.
pub(super) fn billionths(quantity: &Quantity) -> Option<u128> {
    let text = quantity.0.strip_prefix('+').unwrap_or(&quantity.0);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let (two, ten) = scale(suffix)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let (kept, dropped) = digits.split_at(digits.len().min(DIGITS));
    if kept.is_empty() {
        return Some(0);
    }
    let rounded = u128::from(dropped.bytes().any(|digit| digit != b'0'));
    // At most 10¹⁹ · 2⁶⁰, which fits.
    let value = (kept.parse::<u128>().ok()? + rounded) << two;
    let places = |text: &str| i64::try_from(text.len()).ok();
    let shift = i64::from(ten) + 9 - places(fraction)? + places(dropped)?;
    let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|shift| 10_u128.checked_pow(shift));
    Some(match power {
        Some(power) if shift >= 0 => value.saturating_mul(power).min(MOST),
        Some(power) => value.div_ceil(power).min(MOST),
        None if shift >= 0 => MOST,
        None => 1,
    })
}

/// What a suffix stands for: a power of two, and one of ten.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        exponent => (0, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: u128 = 1_000_000_000;

    fn of(text: &str) -> Option<u128> {
        billionths(&Quantity(text.to_owned()))
    }

    #[test]
    fn every_form_of_the_same_number_is_the_same() {
        let equal = [
            ["1Gi", "1024Mi", "1073741824", "1.073741824G", "1073741824000m", "+1Gi"],
            ["1500", "1.5k", "1.5e3", "15E2", "1500000m", "0.0000000000000015E18"],
            ["0", "0Gi", "0.0", ".0", "0e5", "000"],
            ["2Ei", "2305843009213693952", "2.305843009213693952E", "2048Pi", "2097152Ti", "02Ei"],
        ];
        for forms in equal {
            for form in forms {
                assert_eq!(of(form), of(forms[0]), "{form} and {}", forms[0]);
                assert!(of(form).is_some());
            }
        }
        assert_eq!(of("1Gi"), Some(ONE << 30));
        assert_eq!(of("1E"), Some(ONE * 10_u128.pow(18)), "exa, and no exponent");
    }

    #[test]
    fn beyond_the_limits_it_is_rounded_up_and_capped() {
        assert_eq!(of("0.0000000001"), Some(1));
        assert_eq!(of("1e-99"), Some(1));
        assert_eq!(of("8Ei"), Some(MOST));
        assert_eq!(of("1e999"), Some(MOST));
        assert_eq!(of("99999999999999999999999999999999999999999999999"), Some(MOST));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", ".", "Gi", "1.2.3", "-1Gi", "1gi", "1 Gi", "1Gib", "1e", "1e3Ki", "0x10", "ten"] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_themselves_in_every_unit(number in 0_u64..=u64::from(u32::MAX), unit in 0_usize..4) {
            let (suffix, factor) = [("", 1), ("Ki", 1 << 10), ("Mi", 1 << 20), ("k", 1000)][unit];
            prop_assert_eq!(of(&format!("{number}{suffix}")), Some(u128::from(number) * factor * ONE));
        }

        #[test]
        fn the_order_is_that_of_the_numbers(a in 0_u64..1 << 52, b in 0_u64..1 << 52, places in 0_usize..9) {
            let fraction = |number: u64| {
                let text = format!("{number:0>10}");
                let (whole, fraction) = text.split_at(text.len() - places);
                format!("{whole}.{fraction}Ki")
            };
            prop_assert_eq!(of(&fraction(a)).cmp(&of(&fraction(b))), a.cmp(&b));
        }

        #[test]
        fn any_text_is_a_number_or_none(text in "[+-]?[0-9.]{0,50}(e|E|Ei|n|Gi)?[+-]?[0-9]{0,12}") {
            prop_assert!(of(&text).is_none_or(|value| value <= MOST));
        }
    }
}
