"""An interpreter between rehome, which asks CloudWatch in CBOR, and moto, which
answers in older tongues."""

from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

from .proxy import Proxy


def interpreter(moto):
    """A proxy in front of moto that lets it answer DescribeAlarms."""
    shape = moto.cloudwatch.meta.service_model.operation_model("DescribeAlarms").output_shape

    def interpret(handler, _):
        reader = RpcV2CBORParser()
        asked = reader.parse_data_item(reader.get_peekable_stream_from_bytes(handler.body)) if handler.body else {}
        found = moto.cloudwatch.describe_alarms(**asked)
        del found["ResponseMetadata"]
        said = bytearray()
        RpcV2CBORSerializer()._serialize_data_item(said, found, shape)
        handler.answer(200, "application/cbor", bytes(said), smithy_protocol="rpc-v2-cbor")

    return Proxy(moto.url, only="DescribeAlarms", strike=interpret)
