"""Who asks: keys that a workspace knows, and the signatures made with them.

======================  ==================================================================
:mod:`.keys`            the keys of a workspace
:mod:`.sigv4`           Signature Version 4, with which AWS's programs sign
:mod:`.oci_signature`   OCI's signature
======================  ==================================================================
"""

from vision_toolkit.services.auth.keys import Key, Keys
from vision_toolkit.services.auth.oci_signature import OciClaim, OciSignature
from vision_toolkit.services.auth.sigv4 import Claim, Message, Signature4, SignatureError

__all__ = ["Claim", "Key", "Keys", "Message", "OciClaim", "OciSignature", "Signature4", "SignatureError"]
