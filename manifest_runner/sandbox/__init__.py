"""A local service with the Avatar API's documented contract and a real renderer of previews.

Everything runs against it without an account, and a campaign can be rehearsed before a unit is spent. It shares no
code with the client: an error in one must not hide the same error in the other.

For rehearsals, a prompt that contains `[sandbox:fail]` makes its task end as `failed`, and one that contains
`[sandbox:refuse]` has its create call refused by content policy (400, 1301).

The server itself is `sandbox.serve.serve`; it is not imported here, so that starting a sandbox in a process of its
own does not load the renderer into the runner.
"""

from manifest_runner.sandbox.process import SandboxProcess, start_sandbox
from manifest_runner.sandbox.settings import SandboxSettings, new_key_pair

__all__ = ["SandboxProcess", "SandboxSettings", "new_key_pair", "start_sandbox"]
