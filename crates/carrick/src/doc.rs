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

#[allow(dead_code)]
fn with_socket(
    new: impl FnOnce(&carrick::Stack) -> std::io::Result<carrick::TcpSocket>,
    example: impl FnOnce(carrick::TcpSocket) -> std::io::Result<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ran = runtime.block_on(async { example(new(&stacks()?.1)?) });
    ran.expect("the example runs");
}
