//! Expressions for the libraries.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// Expressions that the crate accepts.
pub(crate) fn accepted() -> Vec<String> {
    let mut expressions = WELL_FORMED.lines().map(str::to_owned).collect::<Vec<_>>();
    // The hours in which clocks change, in all sorts of company.
    for hour in 0..=4 {
        for minute in ["0", "15", "30", "59", "*/20", "1,31", "29-31"] {
            expressions.push(format!("{minute} {hour} * * *"));
        }
        expressions.push(format!("30 {hour}-{} * * *", hour + 2));
        expressions.push(format!("45 {hour},5 * * *"));
        expressions.push(format!("10 {hour} * * sun"));
        expressions.push(format!("0 {hour} 1,8,25,29 * *"));
        expressions.push(format!("5 {hour} * mar,apr,oct,nov *"));
        for zone in ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"] {
            expressions.push(format!("CRON_TZ={zone} 30 {hour} * * *"));
            expressions.push(format!("TZ={zone} 5 {hour}/3 * * 0,6"));
        }
    }
    expressions
}

const WELL_FORMED: &str = "\
* * * * *
? ? ? ? ?
*/1 */1 */1 */1 */1
0 * * * *
17 3 * * *
59 23 31 12 *
0 0 1 1 *
0 0 29 2 *
0 0 29 feb ?
0 0 30,31 2,4 *
0 0 31 * *
0 0 31 */2 *
0 0 31 1-12/2 *
0 12 */2 * *
0 12 */10 * *
0 12 10/10 * *
0 12 1-31 * *
0 12 1-31/3 * *
0 12 31/1 * *
0 12 * * 0
0 12 * * 6
0 12 * * 0-6
0 12 * * 1-5
0 12 * * mon-fri
0 12 * * MON-FRI
0 12 * * Sun,Wed
0 12 * * sun-sat/2
0 12 * * */2
0 12 * * */3
0 12 * * */5
0 12 * * */7
0 12 * * ?/2
0 12 * * 0/7
0 12 * * 0/2
0 12 * * 0/1
0 12 * * 2/2
0 12 * * 1-6/2
0 12 * * 1-6/5
0 12 * * 3,3,3
0 12 * jan *
0 12 * JAN,Dec *
0 12 * jan-jun *
0 12 * 6/3 *
0 12 * 1/11 *
0 12 * */11 *
0 12 */2 * *
0 12 *,5 * mon
0 12 ?,5 * mon
0 12 5 * *,mon
0 12 */1 * mon
0 12 5 * ?/1
*/15 * * * *
*/7 * * * *
*/59 * * * *
5/15 * * * *
5-50/15 * * * *
0/30 * * * *
58/1 * * * *
59/1 * * * *
0-59 * * * *
0,30 * * * *
,0,,30, * * * *
007 03 * * *
+7 +3 * * *
0 */6 * * *
0 */23 * * *
0 0/6 * * *
0 1/2 * * *
0 9-17 * * *
0 9-17/4 * * *
0 22,23,0,1,2 * * *
0 0,12 1,15 * *
30 6 1 1,4,7,10 *
@yearly
@annually
@monthly
@weekly
@daily
@midnight
@hourly
@every 1m
@every 90s
@every 1h
@every 1h30m
@every 1m0.5s
@every 61.999999999s
@every 24h
@every 336h
@every 1h1h
@every +2h
CRON_TZ=UTC 17 3 * * *
TZ=UTC 17 3 * * *
TZ=UTC @daily
CRON_TZ=Asia/Tokyo @weekly
CRON_TZ=Asia/Tokyo @every 6h
CRON_TZ=Etc/GMT+5 0 0 * * *
CRON_TZ=America/Argentina/Buenos_Aires 0 0 * * *
CRON_TZ=Pacific/Apia 0 0 * * *
CRON_TZ=Europe/London   0 0 * * *  \n  0 12 * * *
\t0\t12\t*\t*\t*";

/// Expressions that the crate refuses, whatever the system.
pub(crate) fn refused() -> Vec<String> {
    let too_long = format!("{} * * * *", ["7"; 600].join(","));
    REFUSED.lines().map(str::to_owned).chain([String::new(), " ".to_owned(), too_long]).collect()
}

const REFUSED: &str = "\
*
* * * *
* * * * * *
0 0 12 * * *
0 12 * * * 2030
0 12 * * *;
a * * * *
60 * * * *
0 24 * * *
0 12 0 * *
0 12 32 * *
0 12 * 0 *
0 12 * 13 *
0 12 * * 8
70-5 * * * *
70/5 * * * *
0-60 * * * *
-5 * * * *
5- * * * *
5-- * * * *
1-2-3 * * * *
1/2/3 * * * *
/5 * * * *
5/ * * * *
*/0 * * * *
*/60 * * * *
*/x * * * *
*/-5 * * * *
0/60 * * * *
5-10/6 * * * *
7/2-3 * * * *
** * * * *
1.5 * * * *
99999999999999999999 * * * *
0 */24 * * *
0 12 */31 * *
0 12 * */12 *
0 12 * * */8
0 12 * * 6/2
0 12 * * 6/3
0 12 L * *
0 12 LW * *
0 12 15W * *
0 12 * * fri#3
0 12 * * 5L
0 12 * * FRI#L
H 12 * * *
H/15 12 * * *
0 12 * monday *
0 12 * january *
0 12 mon * *
0 12 * * jan
50-10 * * * *
0 22-2 * * *
0 22-2/2 * * *
0 12 25-5 * *
0 12 * nov-feb *
0 12 * * fri-mon
0 12 * * sat-sun
0 12 * * 6-0
0 12 * * 7
0 12 * * 0,7
0 12 * * 0-7
0 12 * * 5-7
0 12 * * mon-7
0 12 * * 7/1
0 12 * * 7-7
0 12 * * 1/2
0 12 * * 1/1
0 12 * * 1/3
0 12 * * 1/6
0 12 * * 3/4
0 12 * * 5/2
0 12 * * 6/1
0 12 * * mon/2
0 12 1 * 1
0 12 1-7 * mon
0 12 */2 * mon
0 12 1 * */2
0 12 25-31 * fri
0 12 13 * fri
0 12 1-31 * mon
0 12 30 2 *
0 12 30,31 feb *
0 12 31 2,4,6,9,11 *
0 12 31 2/9 mon,*
, * * * *
0 , * * *
0 12 ,, * *
0 12 * , *
0 12 * * ,
*-5 * * * *
?-5 * * * *
*-60 * * * *
*-x-y * * * *
*-5/2 * * * *
0 12 *-3 * mon
@
@none
@manual
@triggered
@reboot
@Daily
@daily\x20
@dailyx
@every
@every\x20
@every 1
@every 1d
@every  5m
@every five minutes
@every 30s
@every 59.999999999s
@every 1ms
@every 0s
@every -1h
@every 0
\x20@daily
TZ=UTC
CRON_TZ=UTC
CRON_TZ=UTC\x20
TZ=UTC\x20\x20\x20
CRON_TZ= 0 12 * * *
CRON_TZ=Mars/Olympus 0 12 * * *
CRON_TZ=+02:00 0 12 * * *
CRON_TZ=../UTC 0 12 * * *
CRON_TZ=/UTC 0 12 * * *
CRON_TZ=\"UTC\" 0 12 * * *
CRON_TZ='Europe/Berlin' 0 12 * * *
cron_tz=UTC 0 12 * * *
\x20TZ=UTC 0 12 * * *
TZ=UTC\t0 12 * * *
TZ=UTC 0 12 * *";

/// As many expressions, of all sorts, always the same.
pub(crate) fn random(count: usize) -> Vec<String> {
    let number = || prop_oneof![20 => (0_u32..63).prop_map(|n| n.to_string()), 1 => Just("x".to_owned())];
    let value = |names: &'static [&'static str]| prop_oneof![3 => number(), 1 => select(names).prop_map(str::to_owned)];
    let field = move |largest: u32, names: &'static [&'static str]| {
        // Mostly values that the field has, and some that it does not have.
        let value = prop_oneof![19 => (0..=largest).prop_map(|n| n.to_string()), 1 => value(names)];
        let range = prop_oneof![
            4 => select(&["*", "?"][..]).prop_map(str::to_owned),
            4 => value.clone(),
            3 => (value.clone(), value).prop_map(|(start, end)| format!("{start}-{end}")),
        ];
        let step = prop_oneof![4 => Just(String::new()), 1 => (0..=largest).prop_map(|n| format!("/{n}"))];
        let part = (range, step).prop_map(|(range, step)| range + &step);
        prop_oneof![
            5 => Just("*".to_owned()),
            5 => prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(",")),
        ]
    };
    let fields = (
        field(59, &["jan"]),
        field(23, &["mon"]),
        field(31, &["l"]),
        field(12, &["jan", "Feb", "DEC"]),
        field(7, &["sun", "Mon", "SAT"]),
    );
    let fields = fields.prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"));
    let words =
        select(&["@daily", "@hourly", "@every 5m", "@every 10s", "@manual", "* * * *", "0 1 * * * *"][..]);
    let zone = select(
        &[
            "",
            "",
            "",
            "",
            "CRON_TZ=UTC ",
            "TZ=Asia/Kathmandu ",
            "CRON_TZ=\"UTC\" ",
            "TZ=Mars/Olympus ",
            "TZ=UTC",
        ][..],
    );
    let rule = prop_oneof![30 => fields, 1 => words.prop_map(str::to_owned)];
    let expression = (zone, rule).prop_map(|(zone, rule)| format!("{zone}{rule}"));
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| expression.new_tree(&mut runner).unwrap().current()).collect()
}
