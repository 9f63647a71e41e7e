/**
 * Pieces of protobuf messages whose one large field is written without a copy: the other fields by the generated code, then the
 * field's tag and length, then its bytes as they are. Protobuf allows fields in any order.
 */

/** Tag and length in front of a length-delimited field (wire type 2). Field numbers up to 2^20, lengths up to 2^28. */
export function bytesFieldHead(field: number, length: number): Uint8Array {
  const head = new Uint8Array(8);
  let end = writeVarint(head, 0, field * 8 + 2);
  end = writeVarint(head, end, length);
  return head.subarray(0, end);
}

function writeVarint(bytes: Uint8Array, offset: number, value: number): number {
  let end = offset;
  let rest = value;
  while (rest >= 0x80) {
    bytes[end] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
    end += 1;
  }
  bytes[end] = rest;
  return end + 1;
}
