//! System errors in words. Owns only their wording.

use nix::errno::Errno;
use std::io;

/// An error as a fragment with the name that can be searched for: `no space left on device (ENOSPC)`.
pub fn fault_text(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let errno = Errno::from_raw(number);
    if errno == Errno::UnknownErrno {
        return format!("error {number}");
    }
    let mut words = errno.desc().to_owned();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    format!("{words} ({errno:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_words_and_by_name() {
        let text = |number| fault_text(&io::Error::from_raw_os_error(number));
        assert_eq!(text(libc::ENOSPC), "no space left on device (ENOSPC)");
        assert_eq!(text(libc::EISDIR), "is a directory (EISDIR)");
        assert_eq!(text(9999), "error 9999");
        assert_eq!(fault_text(&io::Error::other("torn")), "torn");
    }
}
