//! Many at the same moment: each task on its own, all let go by one barrier.

use std::{future::Future, sync::Arc};

use tokio::{sync::Barrier, task::JoinSet};

/// Runs `count` tasks that begin together, and answers what they answered in no order.
pub async fn at_once<T, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (barrier, task) = (Arc::clone(&barrier), task(number));
        tasks.spawn(async move {
            barrier.wait().await;
            task.await
        });
    }
    tasks.join_all().await
}
