//! Writing gauges that are worked out when somebody asks.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Writes a gauge with its series; one without any is named all the same.
pub(super) fn gauge<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = ([(&'static str, String); N], f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?;
    for (labels, value) in series {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Writes a gauge without labels; one without a value is named all the same.
pub(super) fn value(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: Option<f64>,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?;
    value.map_or(Ok(()), |value| ConstGauge::new(value).encode(metric))
}

#[allow(clippy::cast_precision_loss, reason = "nobody has 2^52 volumes")]
pub(super) fn as_float(count: usize) -> f64 {
    count as f64
}
