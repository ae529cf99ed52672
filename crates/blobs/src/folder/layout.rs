//! Where everything lies in the folder. No other file builds a path.
//!
//! ```text
//! format                                         what made this folder: one line
//! objects/<cluster>/<kind>/<fan>/<name>          an object: a file, or a folder of part files
//! objects/…/<name>/<number>                      a part, five digits
//! objects/…/<name>/list                          which parts make the object (see `part_list`)
//! uploads/<cluster>.<kind>.<name>.<multipart>/   an unfinished multipart upload: part files
//! staging/<start>/                               bytes on their way and leavings, of one start of the process
//! staging/<start>.lock                           held by that process
//! ```
//!
//! `<fan>` is the beginning of the name, so that 256 folders share the objects and a walk meets them in the order of
//! their keys. Names come from [`ObjectKey`], never from what a client sent.

use std::path::{Path, PathBuf};

use metadata::{MultipartId, ObjectKey};

const FAN_CHARS: usize = 2;
const MULTIPART_CHARS: usize = 32;
/// The name of the list of parts in an object's folder.
pub(super) const LIST: &str = "list";

/// The folder's paths.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    pub(super) objects: PathBuf,
    pub(super) uploads: PathBuf,
    pub(super) staging: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Layout {
        Layout {
            root: root.to_owned(),
            objects: root.join("objects"),
            uploads: root.join("uploads"),
            staging: root.join("staging"),
        }
    }

    pub(super) fn format_file(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Where an object lies, be it a file or a folder of parts.
    pub(super) fn object(&self, key: &ObjectKey) -> PathBuf {
        let text = key.as_str();
        let (folder, name) = text
            .rsplit_once('/')
            .expect("every object key has three segments");
        self.objects.join(folder).join(fan(name)).join(name)
    }

    /// Where the parts of an unfinished upload lie; `None` when the id is not one that this store gave.
    pub(super) fn upload(&self, key: &ObjectKey, multipart: &MultipartId) -> Option<PathBuf> {
        is_multipart_id(&multipart.0).then(|| {
            self.uploads
                .join(format!("{}.{multipart}", key.as_str().replace('/', ".")))
        })
    }
}

/// The name of a part's file.
pub(super) fn part_name(number: u32) -> String {
    format!("{number:05}")
}

/// The folder that an object of this name lies in.
pub(super) fn fan(name: &str) -> &str {
    &name[..name.len().min(FAN_CHARS)]
}

/// The key and id that the name of an upload's folder stands for.
pub(super) fn parse_upload(name: &str) -> Option<(ObjectKey, MultipartId)> {
    let (key, multipart) = name.rsplit_once('.')?;
    let key = ObjectKey::parse(&key.replace('.', "/"))?;
    is_multipart_id(multipart).then(|| (key, MultipartId(multipart.into())))
}

fn is_multipart_id(text: &str) -> bool {
    text.len() == MULTIPART_CHARS
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::{ClusterId, Epoch};
    use oci::UploadId;

    #[test]
    fn an_object_lies_below_the_beginning_of_its_name() {
        let key = ObjectKey::data(ClusterId(10), UploadId::from_u128(0xab << 120), Epoch(3));
        let path = Layout::new(Path::new("/r")).object(&key);
        let expected = "/r/objects/0000000000000000000000000000000a/data/ab/ab000000-0000-0000-0000-000000000000-3";
        assert_eq!(path, Path::new(expected));
    }

    #[test]
    fn the_name_of_an_upload_is_read_back() {
        let key = ObjectKey::data(ClusterId(10), UploadId::from_u128(11), Epoch(3));
        let multipart = MultipartId(format!("{:032x}", 99).into());
        let path = Layout::new(Path::new("/r"))
            .upload(&key, &multipart)
            .unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(parse_upload(name), Some((key, multipart)));
    }

    #[test]
    fn an_id_that_leads_elsewhere_names_no_upload() {
        let key = ObjectKey::probe(ClusterId(1), 1);
        for id in [
            "",
            "../../../../../../../../etc/pass",
            "0123456789abcdef0123456789ABCDEF",
        ] {
            assert_eq!(
                Layout::new(Path::new("/r")).upload(&key, &MultipartId(id.into())),
                None,
                "{id}"
            );
        }
    }
}
