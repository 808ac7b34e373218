//! Numbers from a seed (`SplitMix64`).

#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let range = (high - low).unsigned_abs() + 1;
        low + ((z ^ (z >> 31)) % range).cast_signed()
    }

    pub(crate) fn one_in(&mut self, n: i64) -> bool {
        self.between(1, n) == 1
    }

    pub(crate) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        let last = i64::try_from(all.len()).expect("few") - 1;
        all[usize::try_from(self.between(0, last)).expect("within")].clone()
    }
}
