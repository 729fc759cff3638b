// Two stacks in one process, for the examples of the documentation, which include it out of sight.

#[allow(dead_code)]
fn stacks() -> std::io::Result<(carrick::Stack, carrick::Stack)> {
    let (left, right) = carrick::device::memory::pair(carrick::device::memory::MemoryConfig::default());
    let address = |text: &str| text.parse::<carrick::Cidr>().expect("an address");
    let server = carrick::Stack::builder().address(address("192.0.2.1/24")).device(left).build()?;
    let client = carrick::Stack::builder().address(address("192.0.2.2/24")).device(right).build()?;
    Ok((server, client))
}

#[allow(dead_code)]
async fn connected() -> std::io::Result<(carrick::TcpStream, carrick::TcpStream)> {
    let (server, client) = stacks()?;
    let listener = carrick::TcpListener::bind(&server, "192.0.2.1:7").await?;
    let (accepted, connected) =
        tokio::join!(listener.accept(), carrick::TcpStream::connect(&client, "192.0.2.1:7"));
    Ok((connected?, accepted?.0))
}
