"""The expression dialect: `{{ … }}`, `{% … %}`. A pure function of template, variables and the host's functions.

    compile(text).render(Scope(variables, functions))

Must not know flows, executions, stores or settings: all of that arrives as variables and functions. The one way to
the outside is a function that the host hands in.
"""

# the import fills the tables of filters, functions and tests
from engine.expressions import filters as _filters
from engine.expressions import functions as _functions
from engine.expressions import tests as _tests
from engine.expressions.scope import HOST_FUNCTIONS, Scope
from engine.expressions.template import Template, render_deep
from engine.expressions.template import compile_template as compile  # noqa: A004 - the dialect's own word
from engine.expressions.values import truthy

__all__ = ["HOST_FUNCTIONS", "Scope", "Template", "compile", "render_deep", "truthy"]

del _filters, _functions, _tests
