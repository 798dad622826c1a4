from concurrent.futures import Future
from typing import List, Optional

from millstream import flow, task
from millstream.task_runners import DaskTaskRunner


class TreeNode:
    def __init__(self, value: str, children: Optional[List["TreeNode"]] = None):
        self.value = value
        self.children = children or []


@task
def process_node(node_value: str) -> str:
    """Task that processes a single node"""
    # Replace this with your actual node processing logic
    return f"Processed node: {node_value}"


@flow(name="process-tree", task_runner=DaskTaskRunner())
def process_tree(node: TreeNode) -> List[str]:
    """Main flow that recursively processes the tree structure"""
    results = []

    # First, process all children recursively
    child_results = []
    for child in node.children:
        # Recursively process each child and collect results
        child_result = process_tree(child)
        child_results.extend(child_result)

    # Add all child results first (maintaining bottom-up order)
    results.extend(child_results)

    # Process current node after children
    current_result = process_node.submit(node.value)
    results.append(current_result.result())

    return results


@flow(name="main-tree-processor")
def main():
    # Create a sample tree
    tree = TreeNode(
        "root",
        [
            TreeNode("A", [TreeNode("A1"), TreeNode("A2")]),
            TreeNode("B", [TreeNode("B1"), TreeNode("B2")]),
        ],
    )

    # Process the tree
    results = process_tree(tree)

    # Print results
    for result in results:
        print(result)


if __name__ == "__main__":
    main()
