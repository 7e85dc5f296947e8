"""The edge agent: packages served over gRPC, as Amazon Lookout for Vision's Edge Agent served its components.

====================  =========================================================================================
``edge_agent.proto``  the contract; its compiled form is made by the build
:mod:`.messages`      the contract's messages as Python classes
:mod:`.bitmaps`       pixels that come in and masks that go out, in the message or in shared memory
:mod:`.packages`      packages, in folders and zip files, verified
:mod:`.component`     one model: its status and the processes that judge with it
:mod:`.agent`         the server
====================  =========================================================================================

Needs ``vision_toolkit[edge]``: grpcio and protobuf. Nothing else in the toolkit imports them.
"""
