from typing import List, Optional

from millstream import flow, task
from millstream.task_runners import QueueTaskRunner


class TreeNode:
    def __init__(self, value: str, children: Optional[List["TreeNode"]] = None):
        self.value = value
        self.children = children or []


@task
def process_node(node_value: str) -> str:
    from millstream import get_run_logger

    logger = get_run_logger()
    logger.info(f"Starting to process node: {node_value}")
    result = f"Processed node: {node_value}"
    logger.info(f"Finished processing node: {node_value}")
    return result


@flow(name="process-tree", task_runner=QueueTaskRunner())
def process_tree(node: TreeNode) -> List[str]:
    results = []

    # Process all children recursively
    child_futures = []
    for child in node.children:
        # Start processing each child branch
        child_future = process_tree(child)
        child_futures.append(child_future)

    # Collect all child results
    for future in child_futures:
        results.extend(future)

    # Process current node after children
    current_result = process_node.submit(node.value)
    results.append(current_result.result())

    return results


if __name__ == "__main__":
    tree = TreeNode("root", [TreeNode("A", [TreeNode("A1"), TreeNode("A2")]), TreeNode("B")])
    print(process_tree(tree))
