//! One file out of the vendor's jar, read in pieces: a jar has 5 MB, and a script of it 1 kB.
//!
//! What is read is bounded, every place in the file is checked before it is used, and the content is checked
//! against its sum. Zip64, encryption and archives in several parts are refused: no jar of the vendor's is one.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Longest directory that is read, bytes. The engine's jars have 250 to 400 kB of it for 3,000 files.
const DIRECTORY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The end record is 22 bytes and a comment, whose length is a number of 16 bits.
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 0xffff;

/// Heads of one file, in the directory and before its content, without names.
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;

const END_MARK: &[u8] = b"PK\x05\x06";
const ENTRY_MARK: &[u8] = b"PK\x01\x02";
const LOCAL_MARK: &[u8] = b"PK\x03\x04";

/// A file that is not encrypted has this bit clear.
const ENCRYPTED: u16 = 1;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// A read of part of the archive.
pub trait ReadAt {
    /// Why a read failed.
    type Error;

    /// Exactly `length` bytes from `offset`.
    fn read_at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, Self::Error>;
}

impl<F, E> ReadAt for F
where
    F: FnMut(u64, usize) -> Result<Vec<u8>, E>,
{
    type Error = E;

    fn read_at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, E> {
        self(offset, length)
    }
}

/// Why a file of an archive cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JarError<E> {
    /// The archive could not be read; nothing is said about what is in it.
    #[error("cannot read the jar")]
    Read(E),
    /// Another file, or one that was cut while it was copied.
    #[error("the jar is no whole archive: {0}")]
    Broken(&'static str),
    /// A whole archive of a kind that is not read.
    #[error("the jar is {0}, which is not read here")]
    Unsupported(&'static str),
    /// There is no such file in it.
    #[error("the jar has no file `{0}`")]
    NotFound(String),
    /// The file is longer than the caller wants.
    #[error("the file `{name}` has {bytes} bytes, more than {bytes_max}")]
    TooLong {
        /// Its path.
        name: String,
        /// Its length.
        bytes: u64,
        /// What is wanted at most.
        bytes_max: usize,
    },
    /// The file does not match its own sum or length.
    #[error("the file `{0}` of the jar is damaged")]
    Damaged(String),
}

impl<E> JarError<E> {
    /// The finding that explains it; none where the archive was not read at all.
    pub fn id(&self) -> Option<&'static str> {
        match self {
            Self::Read(_) => None,
            Self::NotFound(_) => Some("camunda.script-missing"),
            Self::TooLong { .. } => Some("camunda.script-changed"),
            Self::Broken(_) | Self::Unsupported(_) | Self::Damaged(_) => Some("camunda.jar-broken"),
        }
    }
}

/// Reads one file of an archive of `length` bytes: three to four reads, of its end, its directory and the file.
pub fn read_file<R: ReadAt>(
    archive: &mut R,
    length: u64,
    name: &str,
    bytes_max: usize,
) -> Result<Vec<u8>, JarError<R::Error>> {
    let (offset, directory_length, count) = directory_place(archive, length)?;
    let directory = at(archive, length, offset, directory_length)?;
    let entry = find(&directory, count, name)?;
    if entry.bytes > bytes_max as u64 {
        return Err(JarError::TooLong {
            name: name.to_owned(),
            bytes: entry.bytes,
            bytes_max,
        });
    }
    let content = content(archive, length, &entry)?;
    let damaged = || JarError::Damaged(name.to_owned());
    let plain = match entry.method {
        STORED => content,
        // More than the head promised is damage too; what it promised was within the bound.
        DEFLATED => decompress_to_vec_with_limit(&content, bytes_max).map_err(|_| damaged())?,
        _ => {
            return Err(JarError::Unsupported(
                "compressed in another way than deflate",
            ));
        }
    };
    if plain.len() as u64 != entry.bytes || crc32(&plain) != entry.sum {
        return Err(damaged());
    }
    Ok(plain)
}

/// What the directory says of a file.
struct Entry {
    method: u16,
    sum: u32,
    packed: u64,
    bytes: u64,
    local: u64,
}

/// Offset, length and number of entries of the directory, from the record at the archive's end.
fn directory_place<R: ReadAt>(
    archive: &mut R,
    length: u64,
) -> Result<(u64, usize, usize), JarError<R::Error>> {
    let tail = length.min((END_BYTES + COMMENT_BYTES_MAX) as u64);
    let bytes = at(archive, length, length - tail, tail as usize)?;
    // The last mark whose comment ends where the archive ends: a comment may hold the mark itself.
    let end = (0..(bytes.len() + 1).saturating_sub(END_BYTES))
        .rev()
        .map(|place| Bytes(bytes.get(place..).unwrap_or_default()))
        .find(|end| {
            end.0.starts_with(END_MARK)
                && end
                    .u16(20)
                    .is_some_and(|comment| END_BYTES + usize::from(comment) == end.0.len())
        })
        .ok_or(JarError::Broken("its end is not that of an archive"))?;
    let fields = || {
        let parts = end.u16(4)? | end.u16(6)?;
        Some((parts, end.u16(10)?, end.u32(12)?, end.u32(16)?))
    };
    let (parts, count, directory_length, offset) =
        fields().ok_or(JarError::Broken("its end record is cut"))?;
    if parts != 0 {
        return Err(JarError::Unsupported("one of several parts"));
    }
    if count == u16::MAX || directory_length == u32::MAX || offset == u32::MAX {
        return Err(JarError::Unsupported("a zip64 archive"));
    }
    if u64::from(directory_length) > DIRECTORY_BYTES_MAX {
        return Err(JarError::Broken("its directory is too long"));
    }
    let directory_length = directory_length as usize;
    Ok((u64::from(offset), directory_length, usize::from(count)))
}

fn find<E>(directory: &[u8], count: usize, name: &str) -> Result<Entry, JarError<E>> {
    let cut = || JarError::Broken("its directory is cut");
    let mut rest = directory;
    for _ in 0..count {
        let entry = Bytes(rest);
        if !rest.starts_with(ENTRY_MARK) {
            return Err(JarError::Broken("its directory is not one"));
        }
        let lengths = || {
            let name_length = usize::from(entry.u16(28)?);
            let more = usize::from(entry.u16(30)?) + usize::from(entry.u16(32)?);
            Some((name_length, ENTRY_BYTES + name_length + more))
        };
        let (name_length, entry_length) = lengths().ok_or_else(cut)?;
        let found = rest
            .get(ENTRY_BYTES..ENTRY_BYTES + name_length)
            .ok_or_else(cut)?;
        if found == name.as_bytes() {
            let fields = || {
                Some((
                    entry.u16(8)?,
                    Entry {
                        method: entry.u16(10)?,
                        sum: entry.u32(16)?,
                        packed: u64::from(entry.u32(20)?),
                        bytes: u64::from(entry.u32(24)?),
                        local: u64::from(entry.u32(42)?),
                    },
                ))
            };
            let (flags, found) = fields().ok_or_else(cut)?;
            if flags & ENCRYPTED != 0 {
                return Err(JarError::Unsupported("encrypted"));
            }
            return Ok(found);
        }
        rest = rest.get(entry_length..).ok_or_else(cut)?;
    }
    Err(JarError::NotFound(name.to_owned()))
}

/// The packed bytes of a file, which begin behind a head of its own whose length only that head says.
fn content<R: ReadAt>(
    archive: &mut R,
    length: u64,
    entry: &Entry,
) -> Result<Vec<u8>, JarError<R::Error>> {
    let head = at(archive, length, entry.local, LOCAL_BYTES)?;
    let head = Bytes(&head);
    let lengths = || Some(u64::from(head.u16(26)?) + u64::from(head.u16(28)?));
    let names = lengths()
        .filter(|_| head.0.starts_with(LOCAL_MARK))
        .ok_or(JarError::Broken("a file's head is not one"))?;
    let packed = usize::try_from(entry.packed).unwrap_or(usize::MAX);
    at(
        archive,
        length,
        entry.local + LOCAL_BYTES as u64 + names,
        packed,
    )
}

fn at<R: ReadAt>(
    archive: &mut R,
    length: u64,
    offset: u64,
    wanted: usize,
) -> Result<Vec<u8>, JarError<R::Error>> {
    let end = offset.checked_add(wanted as u64);
    if end.is_none_or(|end| end > length) {
        return Err(JarError::Broken("it points behind its own end"));
    }
    let bytes = archive.read_at(offset, wanted).map_err(JarError::Read)?;
    if bytes.len() != wanted {
        return Err(JarError::Broken("it was cut while it was read"));
    }
    Ok(bytes)
}

/// Numbers in an archive have their lowest byte first.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.0.get(at..at + 2)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.0.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// The sum that archives carry: CRC-32 with the reflected polynomial 0xEDB88320.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            let carry = if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
            (sum >> 1) ^ carry
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec;

    const NAME: &str = "a/script.sql";
    const TEXT: &[u8] = b"alter table T add A varchar(64);\nalter table T add B varchar(64);\n";

    fn head(mark: &[u8], fields: &[(usize, &[u8])], length: usize) -> Vec<u8> {
        let mut head = vec![0; length];
        head[..4].copy_from_slice(mark);
        for (at, bytes) in fields {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    fn u16(number: usize) -> [u8; 2] {
        u16::try_from(number).unwrap().to_le_bytes()
    }

    fn u32(number: usize) -> [u8; 4] {
        u32::try_from(number).unwrap().to_le_bytes()
    }

    /// An archive of two files, of which the second is ours.
    fn archive(method: u16, comment: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut directory = Vec::new();
        for name in ["other", NAME] {
            let packed = match method {
                DEFLATED => compress_to_vec(TEXT, 6),
                _ => TEXT.to_vec(),
            };
            let local = all.len();
            let method = method.to_le_bytes();
            // A local head may have more behind the name than the directory says.
            let fields: [(usize, &[u8]); 3] = [(8, &method), (26, &u16(name.len())), (28, &u16(3))];
            all.extend(head(LOCAL_MARK, &fields, LOCAL_BYTES));
            all.extend(name.as_bytes());
            all.extend([0; 3]);
            all.extend(&packed);
            let fields: [(usize, &[u8]); 6] = [
                (10, &method),
                (16, &crc32(TEXT).to_le_bytes()),
                (20, &u32(packed.len())),
                (24, &u32(TEXT.len())),
                (28, &u16(name.len())),
                (42, &u32(local)),
            ];
            directory.extend(head(ENTRY_MARK, &fields, ENTRY_BYTES));
            directory.extend(name.as_bytes());
        }
        let fields: [(usize, &[u8]); 4] = [
            (10, &u16(2)),
            (12, &u32(directory.len())),
            (16, &u32(all.len())),
            (20, &u16(comment.len())),
        ];
        let end = head(END_MARK, &fields, END_BYTES);
        [all, directory, end, comment.to_vec()].concat()
    }

    fn read(archive: &[u8], name: &str) -> Result<Vec<u8>, JarError<()>> {
        let mut part = |offset: u64, length: usize| -> Result<Vec<u8>, ()> {
            let begin = usize::try_from(offset).unwrap();
            Ok(archive.get(begin..begin + length).ok_or(())?.to_vec())
        };
        read_file(&mut part, archive.len() as u64, name, 1000)
    }

    #[test]
    fn reads_a_file_stored_or_deflated_with_or_without_a_comment() {
        for method in [STORED, DEFLATED] {
            for comment in [
                &b""[..],
                b"PK\x05\x06 a comment with the mark in it, and more of it",
            ] {
                assert_eq!(read(&archive(method, comment), NAME).unwrap(), TEXT);
            }
        }
    }

    #[test]
    fn says_what_is_not_there_or_too_long() {
        let archive = archive(DEFLATED, b"");
        assert_eq!(read(&archive, "b"), Err(JarError::NotFound("b".into())));
        let mut part = |offset: u64, length: usize| -> Result<Vec<u8>, ()> {
            Ok(archive[usize::try_from(offset).unwrap()..][..length].to_vec())
        };
        let found = read_file(&mut part, archive.len() as u64, NAME, 10);
        assert!(matches!(found, Err(JarError::TooLong { bytes: 66, .. })));
    }

    #[test]
    fn an_archive_that_was_cut_is_broken_at_every_length() {
        let whole = archive(DEFLATED, b"");
        for length in 0..whole.len() {
            let found = read(&whole[..length], NAME);
            assert!(
                matches!(found, Err(JarError::Broken(_))),
                "{length}: {found:?}"
            );
        }
    }

    #[test]
    fn no_changed_byte_gives_another_text() {
        let whole = archive(DEFLATED, b"");
        for at in 0..whole.len() {
            for bits in [1, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= bits;
                if let Ok(text) = read(&changed, NAME) {
                    assert_eq!(text, TEXT, "byte {at}");
                }
            }
        }
    }

    #[test]
    fn refuses_archives_of_other_kinds() {
        let whole = archive(STORED, b"");
        let changed = |place: &dyn Fn(usize, usize) -> usize, bytes: &[u8]| {
            let end = whole.len() - END_BYTES;
            let entry = end - ENTRY_BYTES - NAME.len();
            let mut changed = whole.clone();
            let at = place(end, entry);
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            read(&changed, NAME).unwrap_err().to_string()
        };
        assert!(changed(&|end, _| end + 16, &[0xff; 4]).contains("zip64"));
        assert!(changed(&|end, _| end + 4, &[1, 0]).contains("several parts"));
        assert!(changed(&|_, entry| entry + 8, &[1, 0]).contains("encrypted"));
        assert!(changed(&|_, entry| entry + 10, &[12, 0]).contains("another way"));
        assert!(changed(&|_, entry| entry + 16, &[0; 4]).contains("damaged"));
        assert!(changed(&|end, _| end + 12, &[0xfe, 0xff, 0xff, 0x7f]).contains("too long"));
    }

    #[test]
    fn a_failed_read_is_passed_on() {
        let mut part = |_: u64, _: usize| -> Result<Vec<u8>, &str> { Err("gone") };
        let found = read_file(&mut part, 100, NAME, 10);
        assert_eq!(found, Err(JarError::Read("gone")));
    }

    #[test]
    fn the_sum_is_the_one_of_archives() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
