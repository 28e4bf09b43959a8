//! What the crate says through `tracing`. In one test: subscribers of parallel tests see each other's callsites.

mod support;

use std::sync::{Arc, Mutex};

use logup_wgpu::{AirBuilder, Gpu, GpuOptions, Round0, Strategy, wgpu};
use support::{Case, Uploaded, rng};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

/// Keeps every event as `message field=value ..`, behind the names of its spans.
struct Capture(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        struct Text(String, String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                } else {
                    self.1 += &format!(" {}={value:?}", field.name());
                }
            }
        }
        let mut text = Text(String::new(), String::new());
        event.record(&mut text);
        let spans = context.event_scope(event).into_iter().flatten().map(|span| span.name().to_owned()).collect::<Vec<_>>();
        self.0.lock().unwrap().push(format!("{} {} {}{}", event.metadata().level(), spans.join(">"), text.0, text.1));
    }
}

fn events_of(work: impl FnOnce()) -> Vec<String> {
    let events = Arc::new(Mutex::new(vec![]));
    let subscriber = tracing_subscriber::registry().with(Capture(Arc::clone(&events)));
    tracing::subscriber::with_default(subscriber, work);
    Arc::into_inner(events).expect("the subscriber is gone").into_inner().unwrap()
}

#[test]
fn one_adapter_line_and_one_event_per_stage() {
    let mut air = AirBuilder::new("mixed");
    let main = air.main_part(3);
    let (a, b, c) = (air.column(main, 0), air.next(main, 1), air.column(main, 2));
    let product = air.mul(a, b);
    air.interaction(0, [product, c], a);
    let case = Case::random(air.build().unwrap(), 2, 1 << 8, (None, &[3]), 0, &mut rng(2));
    let mut info = None;
    let events = events_of(|| {
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split);
        let round0 = Round0::new(&gpu);
        uploaded.evaluate(&round0);
        info = Some(gpu.info().clone());
    });
    let info = info.unwrap();

    let named: Vec<&String> = events.iter().filter(|event| event.starts_with("INFO") && event.contains("logup-wgpu device")).collect();
    assert_eq!(named.len(), 1, "{events:?}");
    let software = info.device_type == wgpu::DeviceType::Cpu;
    for part in [info.name.clone(), format!("backend={}", info.backend), format!("software={software}"), "driver=".into()] {
        assert!(named[0].contains(&part), "{} in {}", part, named[0]);
    }

    let stages: Vec<&String> = events.iter().filter(|event| event.contains("metal_dispatch_stage")).collect();
    let expected = [("column_sums", 1, 0, 1, 0), ("coset_pass", 1, 0, 2, 0), ("dual_reduce", 1, 1, 2, 1)].map(
        |(stage, kernels, reductions, cosets, syncs)| {
            format!(
                "DEBUG logup_round0 metal_dispatch_stage backend={} stage=\"{stage}\" kernels={kernels} \
             reduction_kernels={reductions} cosets={cosets} sync_count={syncs}",
                info.backend,
            )
        },
    );
    assert_eq!(stages, expected.iter().collect::<Vec<_>>());
}
