"""Whether a plain value from YAML is what a type annotation, read as text, says."""

import ast
from typing import Any

SIMPLE: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "None": (type(None),),
    "list": (list, tuple),
    "dict": (dict,),
}


def fits(value: Any, annotation: str) -> bool:
    """Whether a plain value from YAML is what the annotation says. What it cannot judge, it lets pass.

    >>> fits(3, "float"), fits("3", "float"), fits(True, "int"), fits("a", "Literal['a', 'b'] | None")
    (True, False, False, True)
    """
    if not annotation:
        return True
    try:
        node = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return True
    return fits_node(value, node)


def fits_node(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return fits_node(value, node.left) or fits_node(value, node.right)
    if isinstance(node, ast.Subscript):
        kind = ast.unparse(node.value).rpartition(".")[2]
        if kind == "Literal":
            allowed = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return value in [ast.literal_eval(choice) for choice in allowed]
        if kind == "Optional":
            return value is None or fits_node(value, node.slice)
        return not isinstance(value, (str, int, float)) if kind in ("list", "dict", "Sequence", "tuple") else True
    allowed_types = SIMPLE.get(ast.unparse(node))
    if allowed_types is None:
        return True
    return isinstance(value, allowed_types) and (not isinstance(value, bool) or bool in allowed_types)
