//! Errors of the system, by the names that its manual has.

use std::io;

use napi::Error;

/// An exception with the name of an errno as its `code`.
pub type FileError = Error<String>;

/// The errno of the call that just failed.
pub fn last() -> FileError {
    of(&io::Error::last_os_error())
}

pub fn of(error: &io::Error) -> FileError {
    let number = error.raw_os_error().unwrap_or(libc::EIO);
    Error::new(name_of(number), error.to_string())
}

/// An errno that this code found itself.
pub fn named(number: i32, reason: &str) -> FileError {
    Error::new(name_of(number), reason.to_owned())
}

/// The names of those that files can give; any other errno keeps its number.
fn name_of(number: i32) -> String {
    let name = match number {
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::EDEADLK => "EDEADLK",
        libc::EDQUOT => "EDQUOT",
        libc::EEXIST => "EEXIST",
        libc::EFAULT => "EFAULT",
        libc::EFBIG => "EFBIG",
        libc::EINTR => "EINTR",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENFILE => "ENFILE",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOLCK => "ENOLCK",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENXIO => "ENXIO",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EPERM => "EPERM",
        libc::EPIPE => "EPIPE",
        libc::EROFS => "EROFS",
        libc::ESPIPE => "ESPIPE",
        libc::ESTALE => "ESTALE",
        libc::ETXTBSY => "ETXTBSY",
        libc::EUCLEAN => "EUCLEAN",
        _ => return format!("ERRNO_{number}"),
    };
    name.to_owned()
}
