//! The only chance in the simulator: SplitMix64, so that a seed is a world.

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Prng(u64);

impl Prng {
    pub(crate) fn new(seed: u64) -> Self {
        Prng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// Whether something happens that happens `rate` times in 1024. A rate of 0 draws nothing.
    pub(crate) fn chance(&mut self, rate: u32) -> bool {
        rate > 0 && self.below(1024) < u64::from(rate)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Nanoseconds from `first` to `last`, each order of magnitude equally likely.
    pub(crate) fn span(&mut self, first: u64, last: u64) -> u64 {
        let (low, high) = (first.max(1).ilog2(), last.ilog2());
        let power = self.between(u64::from(low), u64::from(high));
        let base = 1u64 << power;
        (base + self.below(base)).clamp(first, last)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
