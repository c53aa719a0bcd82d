use proptest::prelude::*;

use super::*;
use crate::object::{Bundle, Content, Damage, Numbers as _, Part, Receiving};

const ALL: [Compression; 4] = [Compression::None, Compression::Fp16, Compression::Int8, Compression::TopK { fraction: 0.25 }];

const TOP_2: Compression = Compression::TopK { fraction: 0.25 };

const NUM_FLOATS: usize = 8;

/// A net with a weight of 5 numbers, a bias of 2 and a buffer of 1, and a counter between them.
fn model(floats: [f32; NUM_FLOATS], counter: i64) -> ModelState {
    let spec = |name: &str, shape: &[usize], role| TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role };
    let layout = vec![
        spec("weight", &[5, 1], TensorRole::Parameter),
        spec("num_batches_tracked", &[], TensorRole::Counter),
        spec("bias", &[2], TensorRole::Parameter),
        spec("running_var", &[1], TensorRole::Buffer),
    ];
    ModelState { layout: Arc::new(layout), floats: floats.to_vec(), counters: vec![counter] }
}

fn zeros() -> ModelState {
    model([0.0; NUM_FLOATS], 0)
}

/// The result for client 3 in round 1 with seed 42.
fn compressed(
    compression: Compression,
    base: &ModelState,
    update: &ModelState,
    residual: Option<Vec<f32>>,
) -> (Compressed, Option<Vec<f32>>) {
    compress(compression, base, update, residual, Seed(42), ClientId(3), Round(1)).expect("it fits")
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|value| value.to_bits()).collect()
}

fn bytes_of(content: &Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = content.chunk(bytes.len() as u64) {
        bytes.extend(chunk);
    }
    bytes
}

/// Sends an update in chunks of these sizes.
fn sent(compressed: &Compressed, cuts: &[usize]) -> Bundle {
    let content = Content::of_numbers(Arc::new(compressed.clone()));
    let bytes = bytes_of(&content);
    let mut receiving = Receiving::bundle(content.object(), 1 << 20).expect("it is small");
    let mut cuts = cuts.iter().cycle();
    while receiving.num_received() < bytes.len() as u64 {
        let offset = usize::try_from(receiving.num_received()).expect("it is small");
        let end = bytes.len().min(offset + cuts.next().expect("there is one"));
        receiving.push(offset as u64, &bytes[offset..end]).expect("it is next");
    }
    receiving.finish().expect("it is whole")
}

/// Checks what becomes of an update that started from `base`, at both sides.
fn check(compression: Compression, base: [f32; NUM_FLOATS], update: [f32; NUM_FLOATS], expected: [f32; NUM_FLOATS]) {
    let (base, update) = (model(base, 4), model(update, 7));
    let (compressed, _) = compressed(compression, &base, &update, None);
    let mut bundle = sent(&compressed, &[7]);
    let arrived = Compressed::take(compression, &mut bundle, &base.layout).expect("it is what was sent");
    assert_eq!(bundle, Bundle::default(), "{compression:?}");
    assert_eq!(arrived, compressed, "{compression:?}");
    assert_eq!(decompress(arrived, &base).expect("it fits"), model(expected, 7), "{compression:?}");
}

#[test]
fn updates_are_those_worked_out_by_hand() {
    let base = [1.0, 2.0, 0.0, -1.0, 0.5, 10.0, 0.0, 1.0];
    let update = [1.5, 2.0, 0.1, -3.0, 0.5, 9.0, 0.25, 1.001];
    check(Compression::None, base, update, update);
    // 0.1 is 1638.4 / 2^14 and becomes 1638 / 2^14. 1.001 - 1 is 8389 / 2^23 in f32: with 10 bits after the first, 2^-10 (1 + 24.6 / 1024) becomes 2^-10 (1 + 25 / 1024).
    let tenth = 1638.0 / 16384.0;
    check(Compression::Fp16, base, update, [1.5, 2.0, tenth, -3.0, 0.5, 9.0, 0.25, 1.0 + 1049.0 / 1_048_576.0]);
    // The draws for client 3 in round 1 are 0.959, 0.454, 0.190, 0.973, 0.680 for its five (worked out with another ChaCha8 and SHA-256). The weight's scale is 0.5:
    // 0.25 is half a step and becomes 1, 0.1 is 0.2 steps and becomes 0, and -0.3 is -0.6 steps, becomes 0. -63.5 is -127 steps.
    let update = [0.25, 0.0, 0.1, -63.5, -0.3, 127.0, -64.0, 0.0];
    check(Compression::Int8, [0.0; NUM_FLOATS], update, [0.5, 0.0, 0.0, -63.5, 0.0, 127.0, -64.0, 0.0]);
    // Two of eight. The differences are 0.5, 0, 0.1, -2, 0, -1, 0.25, 0.001.
    let update = [1.5, 2.0, 0.1, -3.0, 0.5, 9.0, 0.25, 1.001];
    check(TOP_2, base, update, [1.0, 2.0, 0.0, -3.0, 0.5, 9.0, 0.0, 1.0]);
}

#[test]
fn what_top_k_does_not_send_is_sent_later() {
    let base = zeros();
    let update = model([1.0, -4.0, 0.5, 2.0, 0.0, 1.5, 0.0, 0.0], 0);
    let mut sum = zeros();
    let mut residual = None;
    // The client sends the same difference three times.
    let rounds: [(&[u32], &[f32], [f32; NUM_FLOATS]); 3] = [
        (&[1, 3], &[-4.0, 2.0], [1.0, 0.0, 0.5, 0.0, 0.0, 1.5, 0.0, 0.0]),
        // 2, -4, 1, 2, 0, 3, 0, 0.
        (&[1, 5], &[-4.0, 3.0], [2.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
        // 3, -4, 1.5, 4, 0, 1.5, 0, 0: both of 4.
        (&[1, 3], &[-4.0, 4.0], [3.0, 0.0, 1.5, 0.0, 0.0, 1.5, 0.0, 0.0]),
    ];
    for (indices, values, left) in rounds {
        let (compressed, kept) = compressed(TOP_2, &base, &update, residual.take());
        assert_eq!(compressed.floats, Floats::TopK { indices: indices.to_vec(), values: values.to_vec() });
        assert_eq!(kept.as_deref(), Some(&left[..]));
        residual = kept;
        sum = decompress(compressed, &sum).expect("it fits");
    }
    // All that was trained is there or is kept.
    let total: Vec<f32> = sum.floats.iter().zip(residual.expect("top-k keeps one")).map(|(sum, left)| sum + left).collect();
    assert_eq!(total, update.floats.iter().map(|value| 3.0 * value).collect::<Vec<_>>());
}

#[test]
fn sizes_are_what_the_compression_promises() {
    let layout = |lens: &[usize]| {
        let spec = |(index, len): (usize, &usize)| TensorSpec { name: format!("{index}"), shape: vec![*len], role: TensorRole::Parameter };
        Arc::new(lens.iter().enumerate().map(spec).collect::<Vec<_>>())
    };
    let base = ModelState { layout: layout(&[600, 300, 100]), floats: vec![0.0; 1000], counters: vec![] };
    let update = ModelState { floats: vec![1.0; 1000], ..base.clone() };
    let top_k = Compression::TopK { fraction: 0.01 };
    for (compression, expected) in
        [(Compression::None, 4000), (Compression::Fp16, 2000), (Compression::Int8, 1000 + 3 * 4), (top_k, 10 * 8)]
    {
        let content = Content::of_numbers(Arc::new(compressed(compression, &base, &update, None).0));
        let bytes = bytes_of(&content);
        let header = u32::from_le_bytes(*bytes.first_chunk().expect("it has a length")) as usize;
        assert_eq!(bytes.len() - 4 - header, expected, "{compression:?}");
        assert!(header < 60, "{compression:?}: {header}");
    }
}

#[test]
fn int8_is_right_on_average() {
    // A scale of 1; fractions of a step of all sizes, in both directions.
    let update = model([127.0, 0.5, 0.25, -0.25, -3.9, 127.0, 2.1, 0.0], 0);
    let num_seeds = 4000_u32;
    let mut sums = [0.0_f64; NUM_FLOATS];
    for seed in 0..num_seeds {
        let (compressed, _) =
            compress(Compression::Int8, &zeros(), &update, None, Seed(seed.into()), ClientId(3), Round(1)).expect("it fits");
        let model = decompress(compressed, &zeros()).expect("it fits");
        for ((sum, value), update) in sums.iter_mut().zip(&model.floats).zip(&update.floats) {
            assert!((value - update).abs() < 1.0, "{value} is a scale or more from {update}");
            *sum += f64::from(*value);
        }
    }
    // Five standard deviations of the mean of such numbers, which is at most half a step for one of them. Rounding to nearest would be off by 0.25 at the third.
    let bound = 5.0 * 0.5 / f64::from(num_seeds).sqrt();
    for (sum, update) in sums.iter().zip(&update.floats) {
        let mean = sum / f64::from(num_seeds);
        assert!((mean - f64::from(*update)).abs() < bound, "the mean is {mean}, and {update} was sent");
    }
}

#[test]
fn int8_is_a_function_of_seed_client_and_round() {
    let update = model([127.0, 0.5, 0.5, 0.5, 0.5, 127.0, 0.5, 0.0], 0);
    let of = |seed, client, round| {
        compress(Compression::Int8, &zeros(), &update, None, Seed(seed), ClientId(client), Round(round)).expect("it fits")
    };
    // With as few draws, some of these are equal by chance; not all of them.
    let others = |of: &dyn Fn(u32) -> Compressed| (0..20).any(|index| of(index) != of(20));
    assert!(others(&|seed| of(seed.into(), 3, 1).0));
    assert!(others(&|client| of(42, client, 1).0));
    assert!(others(&|round| of(42, 3, round).0));
    assert_eq!(of(42, 3, 1), of(42, 3, 1));
    // No other compression draws anything.
    for compression in [Compression::None, Compression::Fp16, TOP_2] {
        let of = |seed, client, round| {
            compress(compression, &zeros(), &update, None, Seed(seed), ClientId(client), Round(round)).expect("it fits")
        };
        assert_eq!(of(42, 3, 1), of(43, 4, 2));
    }
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let mut infinite = [0.0; NUM_FLOATS];
    infinite[6] = f32::INFINITY;
    let mut not_a_number = [1.0; NUM_FLOATS];
    not_a_number[2] = f32::NAN;
    // Both are finite, and their difference isn't.
    let (mut base, mut update) = ([0.0; NUM_FLOATS], [0.0; NUM_FLOATS]);
    (base[7], update[7]) = (f32::MIN, f32::MAX);
    for compression in [Compression::Fp16, Compression::Int8, TOP_2] {
        for (base, update, place) in [(zeros(), infinite, 6), (zeros(), not_a_number, 2), (model(base, 0), update, 7)] {
            let (compressed, _) = compressed(compression, &base, &model(update, 0), None);
            let mut bundle = sent(&compressed, &[100]);
            let arrived = Compressed::take(compression, &mut bundle, &base.layout).expect("what it says is found in the model");
            let model = decompress(arrived, &base).expect("it fits");
            assert!(!model.floats[place].is_finite(), "{compression:?}, {place}");
            assert!(fltk_fed::state_check::check_state(&model).is_err(), "{compression:?}, {place}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (base, update) = (zeros(), model([1.0; NUM_FLOATS], 0));
    let short = ModelState { floats: vec![0.0; 3], ..base.clone() };
    let without = ModelState { counters: vec![], ..base.clone() };
    let other = ModelState { layout: Arc::new(base.layout[..1].to_vec()), floats: vec![0.0; 5], counters: vec![] };
    for compression in ALL {
        for (base, update) in [(&short, &update), (&base, &short), (&base, &without), (&other, &update)] {
            let outcome = compress(compression, base, update, None, Seed(42), ClientId(3), Round(1));
            assert!(matches!(outcome, Err(Misfit::Length { .. })), "{compression:?}");
        }
        for base in [&short, &other] {
            let (compressed, _) = compressed(compression, &zeros(), &update, None);
            assert!(matches!(decompress(compressed, base), Err(Misfit::Length { .. })), "{compression:?}");
        }
    }
    let expected = Misfit::Length { what: "floats of the residual", found: 3, expected: NUM_FLOATS };
    assert_eq!(compress(TOP_2, &base, &update, Some(vec![0.0; 3]), Seed(42), ClientId(3), Round(1)), Err(expected));
}

#[test]
fn bundles_that_can_not_be_are_refused() {
    let update = model([127.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 5);
    let take = |compression, mut bundle: Bundle| Compressed::take(compression, &mut bundle, &update.layout);
    let check = |compression, change: &dyn Fn(&mut Bundle), expected: &str| {
        let mut bundle = sent(&compressed(compression, &zeros(), &update, None).0, &[100]);
        change(&mut bundle);
        let Err(Damage::Content(problem)) = take(compression, bundle) else { panic!("{compression:?}: not `{expected}`") };
        assert_eq!(problem, expected, "{compression:?}");
    };
    for compression in ALL {
        check(compression, &|bundle| bundle.counters.clear(), "the counters `model` are missing");
        check(compression, &|bundle| drop(bundle.counters.insert("model".to_owned(), vec![])), "`model` has 0 elements, and should have 1");
    }
    let scale = |scale: f32| move |bundle: &mut Bundle| bundle.floats.get_mut("model/scales").expect("it is there")[1] = scale;
    let indices =
        |indices: &'static [u32]| move |bundle: &mut Bundle| drop(bundle.indices.insert("model/indices".to_owned(), indices.to_vec()));
    let of = |name: &'static str, len: usize| move |bundle: &mut Bundle| drop(bundle.bytes.insert(name.to_owned(), vec![0; len]));
    let floats = |name: &'static str, len: usize| move |bundle: &mut Bundle| drop(bundle.floats.insert(name.to_owned(), vec![0.0; len]));
    check(Compression::None, &floats("model", 9), "`model` has 9 elements, and should have 8");
    check(Compression::Fp16, &|bundle| bundle.bytes.clear(), "the bytes `model/fp16` are missing");
    check(Compression::Fp16, &of("model/fp16", 15), "`model/fp16` has 15 elements, and should have 16");
    check(Compression::Int8, &of("model/int8", 9), "`model/int8` has 9 elements, and should have 8");
    check(Compression::Int8, &floats("model/scales", 4), "`model/scales` has 4 elements, and should have 3");
    check(Compression::Int8, &scale(-1.0), "it has the scale -1");
    check(Compression::Int8, &scale(f32::NAN), "it has the scale NaN");
    check(Compression::Int8, &scale(f32::INFINITY), "it has the scale inf");
    check(TOP_2, &|bundle| bundle.indices.clear(), "the indices `model/indices` are missing");
    check(TOP_2, &floats("model/values", 3), "`model/values` has 3 elements, and should have 2");
    check(TOP_2, &indices(&[1, 2, 3]), "`model/indices` has 3 elements, and should have 2");
    for wrong in [&[2, 1], &[1, 1], &[1, 8], &[0, u32::MAX]] {
        check(TOP_2, &indices(wrong), "its indices don't ascend within 8");
    }
    // An update that is compressed in another way isn't one.
    for sent_as in ALL {
        for expected in ALL.into_iter().filter(|expected| *expected != sent_as) {
            assert!(take(expected, sent(&compressed(sent_as, &zeros(), &update, None).0, &[100])).is_err(), "{sent_as:?} as {expected:?}");
        }
    }
}

#[test]
fn a_net_without_floats_has_nothing_to_compress() {
    let base = ModelState { layout: Arc::default(), floats: vec![], counters: vec![] };
    for compression in ALL {
        let (compressed, _) = compressed(compression, &base, &base, None);
        let arrived = Compressed::take(compression, &mut sent(&compressed, &[100]), &base.layout).expect("it is what was sent");
        assert_eq!(decompress(arrived, &base), Ok(base.clone()), "{compression:?}");
    }
}

fn any_compression() -> impl Strategy<Value = Compression> {
    let top_k = (0.0_f64..1.0).prop_map(|fraction| Compression::TopK { fraction });
    prop_oneof![Just(Compression::None), Just(Compression::Fp16), Just(Compression::Int8), top_k]
}

/// Numbers of all sizes, or any bits at all.
fn any_floats() -> impl Strategy<Value = [f32; NUM_FLOATS]> {
    let usual = proptest::array::uniform8(-1.0_f32..1.0);
    prop_oneof![usual, proptest::array::uniform8(proptest::num::f32::ANY)]
}

proptest! {
    #[test]
    fn the_federator_gets_what_the_node_sent(
        compression in any_compression(),
        base in proptest::array::uniform8(-10.0_f32..10.0),
        update in any_floats(),
        counter in any::<i64>(),
        residual in proptest::option::of(proptest::array::uniform8(-1.0_f32..1.0)),
        seed in any::<u64>(),
        cuts in proptest::collection::vec(1_usize..50, 1..20),
    ) {
        let (base, update) = (model(base, 0), model(update, counter));
        let residual = residual.map(|residual| residual.to_vec());
        let of = || compress(compression, &base, &update, residual.clone(), Seed(seed), ClientId(3), Round(1)).expect("it fits");
        let (compressed, kept) = of();
        let at_node = decompress(compressed.clone(), &base).expect("it fits");
        let mut bundle = sent(&compressed, &cuts);
        let arrived = Compressed::take(compression, &mut bundle, &base.layout).expect("it is what was sent");
        prop_assert!(bundle.names().next().is_none());
        let at_federator = decompress(arrived, &base).expect("it fits");
        prop_assert_eq!(bits(&at_federator.floats), bits(&at_node.floats));
        prop_assert_eq!(&at_federator.counters, &update.counters);
        // Nor does it depend on anything else.
        let (again, kept_again) = of();
        prop_assert_eq!(bits(&decompress(again, &base).expect("it fits").floats), bits(&at_node.floats));
        prop_assert_eq!(kept_again.map(|kept| bits(&kept)), kept.map(|kept| bits(&kept)));
        // And what isn't finite arrives as such, or was known to be so.
        if update.floats.iter().any(|value| !value.is_finite()) {
            prop_assert!(at_federator.floats.iter().any(|value| !value.is_finite()));
        }
    }

    #[test]
    fn sent_and_residual_are_the_corrected_difference(
        fraction in 0.0_f64..1.0,
        base in proptest::array::uniform8(-1.0_f32..1.0),
        update in proptest::array::uniform8(-1.0_f32..1.0),
        residual in proptest::array::uniform8(-1.0_f32..1.0),
    ) {
        let (base, update) = (model(base, 0), model(update, 0));
        let (compressed, kept) = compressed(Compression::TopK { fraction }, &base, &update, Some(residual.to_vec()));
        let mut sum = kept.expect("top-k keeps one");
        let Floats::TopK { indices, values } = compressed.floats else { panic!("it is top-k") };
        for (index, value) in indices.iter().zip(&values) {
            prop_assert_eq!(sum[*index as usize].to_bits(), 0);
            sum[*index as usize] = *value;
        }
        let corrected: Vec<f32> = (0..NUM_FLOATS).map(|index| residual[index] + (update.floats[index] - base.floats[index])).collect();
        prop_assert_eq!(bits(&sum), bits(&corrected));
    }

    #[test]
    fn nothing_that_a_node_can_send_makes_a_federator_panic(
        compression in any_compression(),
        is_right in any::<bool>(),
        floats in proptest::collection::vec(proptest::num::f32::ANY, 0..10),
        more in proptest::collection::vec(-1.0_f32..1.0, 0..10),
        octets in proptest::collection::vec(any::<u8>(), 0..20),
        indices in proptest::collection::vec(0_u32..10, 0..10),
        counters in proptest::collection::vec(any::<i64>(), 0..3),
    ) {
        let base = model([1.0; NUM_FLOATS], 0);
        let mut bundle = Bundle::default();
        // With the right lengths, they get further.
        let mut add = |name: &str, part: Part<'_>| {
            let name = name.to_owned();
            match part {
                Part::Floats(_) => drop(bundle.floats.insert(name, if is_right { vec![floats.first().copied().unwrap_or_default(); 3] } else { floats.clone() })),
                Part::Counters(_) => drop(bundle.counters.insert(name, if is_right { vec![1] } else { counters.clone() })),
                Part::Bytes(right) => drop(bundle.bytes.insert(name, if is_right { octets.iter().copied().cycle().take(right.len()).collect() } else { octets.clone() })),
                Part::Indices(_) => drop(bundle.indices.insert(name, indices.clone())),
            }
        };
        for (name, part) in compressed(compression, &base, &base, None).0.parts() {
            add(&name, part);
        }
        bundle.floats.insert("model/values".to_owned(), more);
        if let Ok(compressed) = Compressed::take(compression, &mut bundle, &base.layout) {
            let model = decompress(compressed, &base).expect("it was checked");
            prop_assert_eq!((model.floats.len(), model.counters.len()), (NUM_FLOATS, 1));
        }
    }
}
