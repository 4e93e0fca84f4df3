//! Reads beneath a directory. A handle goes down name by name, so no text is ever a path.

use liftlock_types::facts::disk as facts;
use liftlock_types::{FileName, Read, ReadError};
use wasmtime::component::Resource;

use super::convert::all;
use super::wit::disk as wit;
use super::{Directory, Site, invalid};
use crate::plugin::State;
use crate::session::{HostError, texts};

/// Deepest directory below a binding. Paths of the operating system end at 4,096 bytes anyway.
const DEPTH_MAX: usize = 64;

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Directory>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "disk")?;
        let dir = Vec::new();
        Ok(self.table.push(Directory { binding, dir })?)
    }
}

impl wit::HostDirectory for State {
    async fn entries(&mut self, on: Resource<Directory>) -> Result<Vec<wit::Entry>, HostError> {
        let (binding, dir) = self.directory(&on)?;
        let read = Read::Entries { dir: texts(&dir) };
        let answer: Vec<facts::Entry> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn open_directory(
        &mut self,
        on: Resource<Directory>,
        name: String,
    ) -> Result<Resource<Directory>, HostError> {
        let (binding, mut dir) = self.directory(&on)?;
        if dir.len() >= DEPTH_MAX {
            return Err(invalid(format!("at most {DEPTH_MAX} directories deep")));
        }
        dir.push(FileName::new(name)?);
        // The cheapest read that says whether it is there, so that the author learns it at this line.
        let read = Read::Space { dir: texts(&dir) };
        let _: facts::Space = self.session.read(&binding, read).await?;
        Ok(self.table.push(Directory { binding, dir })?)
    }

    async fn read(
        &mut self,
        on: Resource<Directory>,
        name: String,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, HostError> {
        let (binding, dir) = self.directory(&on)?;
        let read = Read::FileRead {
            dir: texts(&dir),
            name: FileName::new(name)?.into(),
            offset,
            length,
        };
        let answer: facts::Content = self.session.read(&binding, read).await?;
        Ok(answer.text.into_bytes())
    }

    async fn read_bytes(
        &mut self,
        on: Resource<Directory>,
        name: String,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, HostError> {
        let (binding, dir) = self.directory(&on)?;
        let read = Read::FileBytes {
            dir: texts(&dir),
            name: FileName::new(name)?.into(),
            offset,
            length,
        };
        let answer: facts::Bytes = self.session.read(&binding, read).await?;
        answer.bytes().ok_or_else(|| {
            ReadError::Unavailable("the host could not use its own answer".into()).into()
        })
    }

    async fn sha256(&mut self, on: Resource<Directory>, name: String) -> Result<String, HostError> {
        let (binding, dir) = self.directory(&on)?;
        let read = Read::FileSha256 {
            dir: texts(&dir),
            name: FileName::new(name)?.into(),
        };
        self.session.read(&binding, read).await
    }

    async fn space(&mut self, on: Resource<Directory>) -> Result<wit::Space, HostError> {
        let (binding, dir) = self.directory(&on)?;
        let read = Read::Space { dir: texts(&dir) };
        let answer: facts::Space = self.session.read(&binding, read).await?;
        Ok(answer.into())
    }

    async fn drop(&mut self, directory: Resource<Directory>) -> wasmtime::Result<()> {
        self.table.delete(directory)?;
        Ok(())
    }
}
