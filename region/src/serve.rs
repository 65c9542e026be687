//! The region on a port.

use std::io;

use tokio::net::TcpListener;

use crate::Region;

/// Serves the region until the listener fails.
pub async fn serve(_region: Region, listener: TcpListener) -> io::Result<()> {
    loop {
        listener.accept().await?;
    }
}
