//! gRPC with tonic on both sides: the health service, asked once and watched, on two stacks in memory.
//!
//! ```text
//! cargo run -p carrick-examples --bin grpc
//! ```

use carrick::{HttpConnector, TcpIncoming, TcpListener};
use carrick_examples::link;
use std::error::Error;
use tonic::transport::{Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Told;
use tonic_health::pb::health_client::HealthClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (near, far) = link::in_memory()?;
    let listener = TcpListener::bind(&far, (link::FAR_V4, 50051)).await?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("example", ServingStatus::NotServing).await;
    tokio::spawn(Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener)));

    let endpoint = Endpoint::try_from(format!("http://{}:50051", link::FAR_V4))?;
    let mut client = HealthClient::new(endpoint.connect_with_connector(HttpConnector::new(&near)).await?);
    let request = || HealthCheckRequest { service: "example".into() };
    println!("asked: {:?}", client.check(request()).await?.into_inner().status());
    let mut watch = client.watch(request()).await?.into_inner();
    for expected in [Told::NotServing, Told::Serving] {
        let told = watch.message().await?.ok_or("the watch goes on")?.status();
        println!("watched: {told:?}");
        assert_eq!(told, expected);
        reporter.set_service_status("example", ServingStatus::Serving).await;
    }
    Ok(())
}
