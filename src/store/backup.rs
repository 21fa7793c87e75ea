//! A copy of a SQLite database while others write to it.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};

use super::connection::Address;
use crate::domain::{Error, Result};

/// Writes what is committed now to `target`, which must not be there yet: whole and on disk, or not at all, and for nobody
/// else to read. Writers go on meanwhile (SQLite, "VACUUM INTO": one read transaction).
///
/// # Errors
/// [`Error::Setup`] if there is nothing to copy or no place to put it, [`Error::Unavailable`] as the database says.
pub async fn sqlite(address: &Address, target: &Path) -> Result<()> {
    let source = address.sqlite_path().ok_or_else(|| Error::internal("not a SQLite database"))?;
    if !source.exists() {
        return Err(Error::Setup(format!("there is no database {} yet; set data_dir or database_url to where it is", source.display())));
    }
    let refused = |cause: std::io::Error| Error::Setup(format!("can't write the backup {}: {cause}", target.display()));
    if target.exists() {
        return Err(Error::Setup(format!("{} is there already; name a file that is not", target.display())));
    }
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    // VACUUM INTO takes an empty file and keeps its mode. One of a try that failed is of no use.
    let _ = fs::remove_file(part);
    let file = File::options().write(true).create_new(true).mode(0o600).open(part).map_err(refused)?;
    let copied = copy(address, part).await;
    if copied.is_err() {
        let _ = fs::remove_file(part);
    }
    copied?;
    file.sync_all().and_then(|()| fs::rename(part, target)).map_err(refused)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)
}

async fn copy(address: &Address, target: &Path) -> Result<()> {
    let path = target.to_str().ok_or_else(|| Error::Setup("the backup's name must be text".to_owned()))?;
    let connection = Database::connect(address.options(1)?).await?;
    let copied = connection.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [path.into()])).await;
    connection.close().await?;
    copied?;
    Ok(())
}
