//! Locks that belong to an open file, not to a process: a second opener in the same process is refused too, and closing some
//! other descriptor of the file takes nothing away.

use napi_derive::napi;

use crate::errno::{self, FileError};
use crate::file::NativeFile;

#[napi]
impl NativeFile {
    /// Takes the file's exclusive lock (F_OFD_SETLK) without waiting: false where another open file has it. It is given free when
    /// the file is closed, however that comes about. The file must be open for writing.
    #[napi(js_name = "tryLock", catch_unwind)]
    pub fn try_lock(&self) -> Result<bool, FileError> {
        let descriptor = self.open_descriptor()?;
        // SAFETY: all zeros is a valid flock: the whole file, from its begin; l_pid must be 0 for this kind of lock.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        // SAFETY: the descriptor is open, and the command takes a pointer to a flock, which is ours.
        if unsafe { libc::fcntl(descriptor, libc::F_OFD_SETLK, &lock) } == 0 {
            return Ok(true);
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Ok(false),
            _ => Err(errno::of(&error)),
        }
    }
}
