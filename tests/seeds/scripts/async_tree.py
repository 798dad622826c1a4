import asyncio
import time
from typing import Dict, List, Optional

from millstream import flow, task


# Example tree structure (you can modify this to match your actual data structure)
class TreeNode:
    def __init__(self, value: str, children: Optional[List["TreeNode"]] = None):
        self.value = value
        self.children = children or []


@flow(name="process-single-node")
async def process_node(node_value: str) -> str:
    """This is the subflow that processes a single node"""
    # Replace this with your actual node processing logic
    await asyncio.sleep(0.5)  # Simulate some work
    return f"Processed node: {node_value}"


@flow(name="process-tree")
async def process_tree(node: TreeNode) -> List[str]:
    """Main flow that recursively processes the tree structure"""
    # Process current node
    current_node_result = await process_node(node.value)

    # If there are no children, return just this node's result
    if not node.children:
        return [current_node_result]

    # Process all children in parallel using asyncio.gather
    child_tasks = [process_tree(child) for child in node.children]

    # Wait for all child results
    child_results = await asyncio.gather(*child_tasks)

    # Flatten results and combine with current node result
    all_results = [current_node_result]
    for result_list in child_results:
        all_results.extend(result_list)

    return all_results


# Example usage
@flow(name="main-tree-processor")
async def main():
    # Create a sample tree
    tree = TreeNode(
        "root",
        [
            TreeNode("A", [TreeNode("A1"), TreeNode("A2")]),
            TreeNode("B", [TreeNode("B1"), TreeNode("B2")]),
        ],
    )

    # Process the tree
    results = await process_tree(tree)

    # Print results
    for result in results:
        print(result)


# Run the flow
if __name__ == "__main__":
    began = time.perf_counter()
    asyncio.run(main())
    print(f"seconds: {time.perf_counter() - began:.2f}")
