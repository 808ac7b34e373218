//! The API server, and etcd behind it, die in mid-pass. Nobody helps the controller.

use std::sync::Arc;

use proptest::prelude::{Rng, RngExt as _};
use testbed::{Cut, Point, Proxy, Then};
use tokio::sync::{Mutex, oneshot};

use super::audit::Tally;
use super::field::{FAST, Field, VOLUMES};
use super::random::{random, seed};
use crate::place::{PATIENCE, eventually};

#[tokio::test]
async fn a_control_plane_that_dies_in_mid_pass_breaks_no_promise() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = random(seed);
    let field = Field::lay("outages").await;
    for component in ["kube-apiserver", "etcd"] {
        let start = field.prepare().await;
        let (proxy, kubeconfig) = field.proxy().await;
        let controller = field.stage.launch_controller("controller", &kubeconfig, FAST).await.unwrap();
        let up = Arc::new(Mutex::new(()));
        let mut next = Some(arm(&field, &proxy, component, &up, &mut random));
        for outage in 1..=2 {
            let (mut cut, killed) = next.take().expect("one at a time");
            let reached = tokio::time::timeout(PATIENCE, cut.reached()).await;
            let write = reached.expect("there is enough left to write").unwrap();
            killed.await.unwrap();
            println!("{component} died at {write}; outage {outage}");
            let down = up.lock().await;
            if outage == 1 {
                // Before there is anybody to write to: later, all may be done.
                next = Some(arm(&field, &proxy, component, &up, &mut random));
            }
            field.stage.cluster.restart(component).await.unwrap();
            eventually("the API server lists snapshots again", || async { Ok(field.scheduled().await.ok()) })
                .await;
            // It loses its Lease in a longer outage, and begins anew. After a short one it may never see that a snapshot is
            // ready: where the answer to its making a content is lost, it holds one without a resourceVersion against all
            // that comes later ("error parsing old ResourceVersion", external-snapshotter 8.7).
            field.stage.cluster.restart("snapshot-controller").await.unwrap();
            drop(down);
        }
        field.done().await;
        assert_eq!(controller.exit(), None, "it has lived through it");
        controller.kill().await.unwrap();
        let tally = field.audit(&start).await.unwrap();
        assert_eq!(tally, Tally { taken: VOLUMES, pruned: 2 * VOLUMES }, "{component}");
    }
}

/// Lets the component die at one of the next writes; at one of those that come while it is down, as soon as it is up.
/// Says when it has died.
fn arm(
    field: &Field,
    proxy: &Proxy,
    component: &'static str,
    up: &Arc<Mutex<()>>,
    random: &mut impl Rng,
) -> (Cut, oneshot::Receiver<()>) {
    let nth = random.random_range(1..=40);
    let point = if random.random() { Point::before(nth) } else { Point::after(nth) };
    let (stage, up) = (field.stage.clone(), up.clone());
    let (say, killed) = oneshot::channel();
    let cut = proxy.call(point, async move |_| {
        let die = async move {
            stage.cluster.kill(component).await.unwrap();
            say.send(()).unwrap();
        };
        match up.clone().try_lock_owned() {
            Ok(_up) => die.await,
            // Whoever writes is not kept waiting for it.
            Err(_) => drop(tokio::spawn(async move {
                let _up = up.lock().await;
                die.await;
            })),
        }
        Then::Pass
    });
    (cut, killed)
}
