//! A process can be told a wrong time, and the right one again.

use jiff::Timestamp;

use crate::shared_cluster::shared_cluster;

#[tokio::test]
async fn a_program_goes_by_the_clock_that_it_is_given() {
    let cluster = shared_cluster("clocks").await;
    let clock = cluster.wrong_clock().unwrap();
    let env = clock.env();
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (name, ahead) in [("right", 0), ("ahead", 15 * 86_400), ("behind", -3_600)] {
        clock.set_ahead(ahead).unwrap();
        let begun = Timestamp::now().as_second();
        let date = cluster.spawn(name, "date", &["+%s"], &env).await.unwrap();
        date.wait().await.unwrap();
        let told: i64 = date.log().unwrap().trim().parse().unwrap();
        let ended = Timestamp::now().as_second();
        assert!((begun..=ended).contains(&(told - ahead)), "{name}: {told}, from {begun} to {ended}");
    }
}
