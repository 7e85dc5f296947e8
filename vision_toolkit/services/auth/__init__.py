"""Who asks: keys that a workspace gave out, and the signatures made with them.

=====================  ==================================================================
:mod:`.keys`           the access keys of a workspace
:mod:`.sigv4`          Signature Version 4, with which AWS's programs sign
=====================  ==================================================================
"""

from vision_toolkit.services.auth.keys import Key, Keys
from vision_toolkit.services.auth.sigv4 import Claim, Message, Signature4, SignatureError

__all__ = ["Claim", "Key", "Keys", "Message", "Signature4", "SignatureError"]
