//! Disk watermarks: settings in per cent, as a ratio or in bytes, turned into free bytes.

use serde_json::Value;

const PREFIX: &str = "cluster.routing.allocation.disk.";

/// One watermark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Watermark {
    /// So much of the disk is used, but at most this many bytes need be free.
    Used {
        ratio: f64,
        headroom_bytes: Option<u64>,
    },
    /// So much is free.
    Free(u64),
    /// The servers do not look at the disk.
    Off,
}

impl Watermark {
    /// Free bytes at which it is reached.
    pub(crate) fn free_bytes(self, total: u64) -> u64 {
        match self {
            Self::Off => 0,
            Self::Free(bytes) => bytes,
            Self::Used {
                ratio,
                headroom_bytes,
            } => {
                // A disk of 2^53 bytes is nine petabytes: exact below.
                let free = (total as f64 * (1.0 - ratio)).round() as u64;
                headroom_bytes.map_or(free, |most| free.min(most))
            }
        }
    }
}

/// The three of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watermarks {
    pub(crate) enabled: bool,
    pub(crate) low: Watermark,
    pub(crate) high: Watermark,
    pub(crate) flood: Watermark,
}

/// From `_cluster/settings?include_defaults&flat_settings`: transient before persistent before default.
pub(crate) fn watermarks(settings: &Value) -> Watermarks {
    let setting = |name: &str| {
        ["transient", "persistent", "defaults"]
            .iter()
            .find_map(|scope| {
                settings
                    .get(scope)?
                    .get(format!("{PREFIX}{name}"))?
                    .as_str()
                    .map(str::to_owned)
            })
    };
    let enabled = setting("threshold_enabled").as_deref() != Some("false");
    let of = |name: &str, default: f64| {
        if !enabled {
            return Watermark::Off;
        }
        let text = setting(&format!("watermark.{name}"));
        // Elasticsearch 8.5 and later cap the defaults; `-1` says no cap.
        let headroom_bytes =
            setting(&format!("watermark.{name}.max_headroom")).and_then(|text| bytes(&text));
        match text.as_deref().and_then(parse) {
            Some(Watermark::Used { ratio, .. }) => Watermark::Used {
                ratio,
                headroom_bytes,
            },
            Some(free) => free,
            None => Watermark::Used {
                ratio: default,
                headroom_bytes,
            },
        }
    };
    Watermarks {
        enabled,
        low: of("low", 0.85),
        high: of("high", 0.90),
        flood: of("flood_stage", 0.95),
    }
}

fn parse(text: &str) -> Option<Watermark> {
    let text = text.trim();
    let used = |ratio: f64| Watermark::Used {
        ratio,
        headroom_bytes: None,
    };
    if let Some(percent) = text.strip_suffix('%') {
        return percent
            .trim()
            .parse::<f64>()
            .ok()
            .map(|percent| used(percent / 100.0));
    }
    if let Ok(ratio) = text.parse::<f64>() {
        // `0` is no bytes; a ratio is at most one.
        if ratio > 0.0 && ratio <= 1.0 {
            return Some(used(ratio));
        }
    }
    bytes(text).map(Watermark::Free)
}

/// `10gb`, `1.5tb`, `0`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (amount, unit) = text.split_at(at);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        "p" | "pb" => 50,
        _ => return None,
    };
    let amount: f64 = amount.trim().parse().ok()?;
    (amount >= 0.0).then(|| (amount * (1_u64 << shift) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn low(settings: Value) -> u64 {
        watermarks(&settings).low.free_bytes(100 * GIB)
    }

    #[test]
    fn reads_per_cent_ratio_and_bytes() {
        let set = |value: &str| json!({"persistent": {"cluster.routing.allocation.disk.watermark.low": value}});
        assert_eq!(low(set("80%")), 20 * GIB);
        assert_eq!(low(set("0.75")), 25 * GIB);
        assert_eq!(low(set("7gb")), 7 * GIB);
        assert_eq!(low(set("1.5gb")), GIB + GIB / 2);
        assert_eq!(low(json!({})), 15 * GIB);
    }

    #[test]
    fn a_transient_value_wins() {
        let settings = json!({
            "transient": {"cluster.routing.allocation.disk.watermark.low": "1gb"},
            "persistent": {"cluster.routing.allocation.disk.watermark.low": "2gb"},
            "defaults": {"cluster.routing.allocation.disk.watermark.low": "85%"},
        });
        assert_eq!(low(settings), GIB);
    }

    #[test]
    fn headroom_caps_what_a_large_disk_must_keep_free() {
        let settings = |headroom: &str| {
            json!({"defaults": {
                "cluster.routing.allocation.disk.watermark.low": "85%",
                "cluster.routing.allocation.disk.watermark.low.max_headroom": headroom,
            }})
        };
        assert_eq!(low(settings("10gb")), 10 * GIB);
        assert_eq!(low(settings("200gb")), 15 * GIB);
        assert_eq!(low(settings("-1")), 15 * GIB);
    }

    #[test]
    fn servers_that_do_not_look_have_no_watermark() {
        let settings =
            json!({"persistent": {"cluster.routing.allocation.disk.threshold_enabled": "false"}});
        assert_eq!(low(settings), 0);
    }
}
