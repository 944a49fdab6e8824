//! How many descriptors we may have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Makes sure that `wanted` descriptors can be open, as far as the hard limit allows. Gives how many there can be.
/// The limit is raised only when it must be, since whatever we start inherits it.
pub fn allow_descriptors(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    if soft >= wanted {
        return soft;
    }
    let raised = wanted.min(hard);
    if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_enough_is_left_alone() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(allow_descriptors(1), soft);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, soft);
    }
}
