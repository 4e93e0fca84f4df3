//! Each limit, and each other way to fail, run into by the guest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use liftlock_sandbox::limits::{LOG_LINES_MAX, MEMORY_BYTES_MAX, STACK_BYTES_MAX, TEXT_BYTES_MAX};
use liftlock_sandbox::{Export, FaultKind, Limit, Limits, PluginFault};

use crate::common::{Table, call, call_on, inspect, limit, plugin, plugin_with, seen};

/// The fault of an inspection under the limits by default.
async fn fault(options: &[(&str, &str)]) -> PluginFault {
    plugin().inspect(&call(options)).await.unwrap_err()
}

/// The fault of one under other limits.
async fn fault_under(limits: Limits, options: &[(&str, &str)]) -> PluginFault {
    plugin_with(limits)
        .inspect(&call(options))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_loop_ends_with_its_share_of_time() {
    let limits = Limits {
        cpu_ms_max: 200,
        ..Limits::default()
    };
    let started = Instant::now();
    let fault = fault_under(limits, &[("do", "loop")]).await;
    assert_eq!(limit(&fault), Some(Limit::CpuMs), "{fault}");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(fault.export, Export::Inspect);
    assert!(
        fault
            .to_string()
            .contains("failed in `inspect`: it hit the limit of 200 ms"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_loop_does_not_keep_other_work_from_the_thread() {
    let limits = Limits {
        cpu_ms_max: 500,
        ..Limits::default()
    };
    let plugin = plugin_with(limits);
    let looping = call(&[("do", "loop")]);
    let done = std::cell::Cell::new(false);
    let other = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!done.get(), "the loop had the thread for itself");
    };
    let run = async {
        let fault = plugin.inspect(&looping).await.unwrap_err();
        done.set(true);
        fault
    };
    let (fault, ()) = tokio::join!(run, other);
    assert_eq!(limit(&fault), Some(Limit::CpuMs));
}

#[tokio::test]
async fn a_guest_that_sleeps_ends_with_the_wall_time() {
    let limits = Limits {
        wall_ms_max: 200,
        ..Limits::default()
    };
    let fault = fault_under(limits, &[("do", "sleep")]).await;
    assert_eq!(limit(&fault), Some(Limit::WallMs), "{fault}");
}

#[tokio::test]
async fn a_target_that_does_not_answer_ends_with_the_wall_time() {
    let limits = Limits {
        wall_ms_max: 200,
        ..Limits::default()
    };
    let slow = Arc::new(Table::slow(Duration::from_secs(3600)));
    let call = call_on(&[("do", "read-loop")], slow);
    let fault = plugin_with(limits).inspect(&call).await.unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::WallMs), "{fault}");
}

#[tokio::test]
async fn waiting_for_a_target_is_not_the_guests_own_time() {
    // By ticks alone these are 600 ms, by the clock alone 1,200.
    let limits = Limits {
        cpu_ms_max: 500,
        ..Limits::default()
    };
    let slow = Arc::new(Table::slow(Duration::from_millis(20)));
    let call = call_on(&[("do", "read-loop"), ("n", "60")], slow);
    let called = plugin_with(limits).inspect(&call).await.unwrap();
    assert!(called.ms >= 1_200, "{}", called.ms);
}

#[tokio::test]
async fn memory_is_bounded() {
    let fault = fault(&[("do", "allocate")]).await;
    assert_eq!(limit(&fault), Some(Limit::MemoryBytes), "{fault}");
    assert!(
        fault.to_string().contains(&MEMORY_BYTES_MAX.to_string()),
        "{fault}"
    );
}

#[tokio::test]
async fn recursion_is_bounded() {
    let shallow = inspect(&[("do", "recurse"), ("n", "100")]).await;
    assert_eq!(seen(&shallow)["depth"], "100");
    let fault = fault(&[("do", "recurse"), ("n", "100000000")]).await;
    assert_eq!(limit(&fault), Some(Limit::StackBytes), "{fault}");
    assert!(
        fault.to_string().contains(&STACK_BYTES_MAX.to_string()),
        "{fault}"
    );
}

#[tokio::test]
async fn the_log_is_bounded_and_says_so() {
    for what in ["flood-log", "flood-stdout"] {
        let called = inspect(&[("do", what), ("n", "3000")]).await;
        assert_eq!(called.log.len(), LOG_LINES_MAX + 1, "{what}");
        assert!(called.log[LOG_LINES_MAX].contains("the rest is dropped"));
    }
    let called = inspect(&[("do", "long-line"), ("n", "10000")]).await;
    assert!(called.log[0].ends_with("(cut: 10000 bytes, 4096 are shown)"));
    assert!(called.log[0].len() < 4_200);
}

#[tokio::test]
async fn what_crosses_at_once_is_bounded_in_both_directions() {
    for what in ["huge-string", "huge-answer"] {
        let fault = fault(&[("do", what)]).await;
        assert_eq!(limit(&fault), Some(Limit::CrossingBytes), "{what}: {fault}");
    }
}

#[tokio::test]
async fn a_list_is_bounded() {
    let called = inspect(&[("do", "many-facts"), ("n", "1000")]).await;
    assert_eq!(called.value.unwrap().facts.len(), 1000);
    let fault = fault(&[("do", "many-facts"), ("n", "1001")]).await;
    assert_eq!(limit(&fault), Some(Limit::ListItems), "{fault}");
    let call = call(&[("do", "many"), ("n", "1001")]);
    for fault in [
        plugin().check(&call).await.unwrap_err(),
        plugin().validate(&call).await.unwrap_err(),
    ] {
        assert_eq!(limit(&fault), Some(Limit::ListItems), "{fault}");
    }
}

#[tokio::test]
async fn a_text_is_bounded() {
    let most = TEXT_BYTES_MAX.to_string();
    let fine = plugin()
        .check(&call(&[("do", "long"), ("n", &most)]))
        .await
        .unwrap();
    assert_eq!(fine.value.unwrap()[0].what.len(), TEXT_BYTES_MAX);
    let more = (TEXT_BYTES_MAX + 1).to_string();
    let fault = plugin()
        .check(&call(&[("do", "long"), ("n", &more)]))
        .await
        .unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::TextBytes), "{fault}");
    assert_eq!(fault.export, Export::Check);
    let fault = plugin()
        .plan(&call(&[("do", "long-text"), ("n", &more)]))
        .await
        .unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::TextBytes), "{fault}");
}

#[tokio::test]
async fn handles_are_bounded() {
    let fault = fault(&[("do", "handles"), ("n", "20000")]).await;
    assert_eq!(limit(&fault), Some(Limit::Handles), "{fault}");
}

#[tokio::test]
async fn instances_are_bounded() {
    let limits = Limits {
        instances_max: 1,
        ..Limits::default()
    };
    let fault = plugin_with(limits).describe().await.unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::Instances), "{fault}");
    assert_eq!(fault.export, Export::Describe);
}

#[tokio::test]
async fn tables_are_bounded() {
    let limits = Limits {
        table_elements_max: 1,
        ..Limits::default()
    };
    let fault = plugin_with(limits).describe().await.unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::TableElements), "{fault}");
}

#[tokio::test]
async fn host_calls_are_bounded() {
    let limits = Limits {
        host_calls_max: 1_000,
        ..Limits::default()
    };
    let fault = fault_under(limits, &[("do", "host-calls"), ("n", "1001")]).await;
    assert_eq!(limit(&fault), Some(Limit::HostCalls), "{fault}");
}

#[tokio::test]
async fn reads_are_bounded_before_the_target_is_asked() {
    let limits = Limits {
        reads_max: 50,
        ..Limits::default()
    };
    let table = Arc::new(Table::new());
    let call = call_on(&[("do", "read-loop"), ("n", "51")], table.clone());
    let fault = plugin_with(limits).inspect(&call).await.unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::Reads), "{fault}");
    assert_eq!(table.asked.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn bytes_read_are_bounded() {
    let limits = Limits {
        read_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let fault = fault_under(limits, &[("do", "read-bytes"), ("n", "20")]).await;
    assert_eq!(limit(&fault), Some(Limit::ReadBytes), "{fault}");
}

#[tokio::test]
async fn what_the_host_holds_for_a_draft_is_bounded() {
    let limits = Limits {
        held_bytes_max: 4 << 20,
        ..Limits::default()
    };
    let call = call(&[("do", "huge-draft"), ("n", "10")]);
    let fault = plugin_with(limits).plan(&call).await.unwrap_err();
    assert_eq!(limit(&fault), Some(Limit::HeldBytes), "{fault}");
    assert_eq!(fault.export, Export::Plan);
}

#[tokio::test]
async fn a_panic_is_a_fault_with_a_trace_and_its_last_words() {
    let fault = fault(&[("do", "trap")]).await;
    assert!(
        matches!(&*fault.what, FaultKind::Trap(text) if text.contains("unreachable")),
        "{fault}"
    );
    assert!(
        fault
            .log
            .iter()
            .any(|line| line.contains("the guest panics on purpose")),
        "{:?}",
        fault.log
    );
    assert!(
        fault.trace.iter().any(|name| name.contains("panic")),
        "{:?}",
        fault.trace
    );
}

#[tokio::test]
async fn a_guest_that_exits_is_at_fault() {
    let fault = fault(&[("do", "exit")]).await;
    assert!(matches!(&*fault.what, FaultKind::Exit(_)), "{fault}");
}

#[tokio::test]
async fn a_forged_handle_ends_the_call() {
    let fault = fault(&[("do", "forged-handle")]).await;
    assert!(matches!(&*fault.what, FaultKind::Handle(_)), "{fault}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_named() {
    let fault = fault(&[("do", "bad-fact")]).await;
    assert!(
        matches!(&*fault.what, FaultKind::Contract(text) if text.contains("`f`")),
        "{fault}"
    );
}

#[tokio::test]
async fn a_fault_leaves_the_plugin_usable() {
    let _ = fault(&[("do", "trap")]).await;
    let _ = fault(&[("do", "forged-handle")]).await;
    assert_eq!(seen(&inspect(&[("do", "site")]).await)["name"], "test");
}

#[tokio::test]
async fn denials_before_a_fault_stay_on_record() {
    let call = call(&[("do", "denied")]);
    let refused = plugin().plan(&call).await.unwrap();
    assert_eq!(refused.denials.len(), 1);
    assert_eq!(refused.denials[0].what, "cluster.delete-index");
}
