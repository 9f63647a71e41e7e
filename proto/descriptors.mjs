/**
 * Makes the module with which the reflection service answers: for each .proto file that clients see its FileDescriptorProto, as
 * protoc would make it (without comments), and the names that it declares. protobufjs can turn what it parsed into descriptors
 * itself, but joins all files of a package and leaves out imports, packages of references and the form of maps, which strict readers
 * refuse; so it is done here, file by file, for what our files use of the language: proto3 without extensions.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor.js";

/** Numbers of FieldDescriptorProto.Type. */
const scalarTypes = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18,
};
const [messageType, enumType] = [11, 14];
const label = { optional: 1, repeated: 3 };

/** The text of descriptors.js. `names`: .proto files below `directory`, with forward slashes. */
export function descriptorModule(directory, names) {
  const root = new protobuf.Root();
  const files = new Map();
  for (const name of names) load(name, directory, root, files);
  root.resolveAll();
  const made = [...files].map(([name, { syntaxTree, declared }]) => {
    const proto = fileProto(name, syntaxTree, declared);
    const bytes = descriptor.FileDescriptorProto.encode(descriptor.FileDescriptorProto.create(proto)).finish();
    const services = declared.filter((object) => object instanceof protobuf.Service).map(nameOf);
    const symbols = declared.flatMap(symbolsOf);
    return { name, imports: proto.dependency, services, symbols, bytes: Buffer.from(bytes).toString("base64") };
  });
  return `export const descriptorFiles = ${JSON.stringify(made, undefined, 1)};\n`;
}

/** Reads a file and what it imports. Each is parsed into a root of its own too, to tell what it declares from what others do. */
function load(name, directory, root, files) {
  if (files.has(name)) return;
  const common = protobuf.common.get(name) ?? undefined;
  const parse = (into) =>
    common === undefined
      ? protobuf.parse(readFileSync(join(directory, name), "utf8"), into, { keepCase: true })
      : { root: into.addJSON(common.nested), package: packageOf(common), imports: [] };
  const syntaxTree = parse(root);
  files.set(name, { syntaxTree, declared: [] });
  const alone = parse(new protobuf.Root()).root.lookup(syntaxTree.package).nestedArray;
  const namespace = root.lookup(syntaxTree.package);
  files.get(name).declared.push(...alone.filter(isDeclaration).map((object) => namespace.get(object.name)));
  for (const imported of syntaxTree.imports ?? []) load(imported, directory, root, files);
}

/** Of a file that protobufjs brings along: the only chain of namespaces. */
function packageOf({ nested }) {
  const [name] = Object.keys(nested);
  const inner = nested[name];
  return inner.nested === undefined || inner.fields !== undefined
    ? ""
    : [name, packageOf(inner)].filter(Boolean).join(".");
}

const isDeclaration = (object) =>
  object instanceof protobuf.Type || object instanceof protobuf.Enum || object instanceof protobuf.Service;
const nameOf = (object) => object.fullName.replace(/^\./, "");

function fileProto(name, syntaxTree, declared) {
  return {
    name,
    package: syntaxTree.package,
    dependency: syntaxTree.imports ?? [],
    messageType: declared.filter((object) => object instanceof protobuf.Type).map(messageProto),
    enumType: declared.filter((object) => object instanceof protobuf.Enum).map(enumProto),
    service: declared.filter((object) => object instanceof protobuf.Service).map(serviceProto),
    syntax: "proto3",
  };
}

function messageProto(type) {
  const maps = type.fieldsArray.filter((field) => field.map);
  const oneofs = oneofsOf(type);
  return {
    name: type.name,
    field: type.fieldsArray.map((field) => fieldProto(field, oneofs)),
    nestedType: [
      ...type.nestedArray.filter((object) => object instanceof protobuf.Type).map(messageProto),
      ...maps.map(entryProto),
    ],
    enumType: type.nestedArray.filter((object) => object instanceof protobuf.Enum).map(enumProto),
    oneofDecl: oneofs.map(({ name }) => ({ name })),
  };
}

/** Those that stand for an `optional` come last, as readers demand. */
function oneofsOf(type) {
  const isOptional = (oneof) => oneof.fieldsArray.some((field) => field.options?.proto3_optional);
  return [...type.oneofsArray.filter((oneof) => !isOptional(oneof)), ...type.oneofsArray.filter(isOptional)];
}

function fieldProto(field, oneofs) {
  const reference = field.map
    ? { type: messageType, typeName: `${field.parent.fullName}.${entryName(field)}` }
    : typeOf(field.type, field.resolvedType);
  return {
    name: field.name,
    number: field.id,
    label: field.map || field.repeated ? label.repeated : label.optional,
    ...reference,
    jsonName: protobuf.util.camelCase(field.name),
    ...(field.partOf ? { oneofIndex: oneofs.indexOf(field.partOf) } : {}),
    ...(field.options?.proto3_optional ? { proto3Optional: true } : {}),
  };
}

function typeOf(name, resolved) {
  if (resolved === null || resolved === undefined) return { type: scalarTypes[name] };
  return { type: resolved instanceof protobuf.Enum ? enumType : messageType, typeName: resolved.fullName };
}

const entryName = ({ name }) => `${protobuf.util.ucFirst(protobuf.util.camelCase(name))}Entry`;

function entryProto(field) {
  const part = (name, number, type) => ({ name, number, label: label.optional, ...type, jsonName: name });
  return {
    name: entryName(field),
    field: [part("key", 1, typeOf(field.keyType)), part("value", 2, typeOf(field.type, field.resolvedType))],
    options: { mapEntry: true },
  };
}

function enumProto({ name, values }) {
  return { name, value: Object.entries(values).map(([value, number]) => ({ name: value, number })) };
}

function serviceProto(service) {
  const method = service.methodsArray.map(({ name, resolvedRequestType, resolvedResponseType, ...rest }) => ({
    name,
    inputType: resolvedRequestType.fullName,
    outputType: resolvedResponseType.fullName,
    ...(rest.requestStream ? { clientStreaming: true } : {}),
    ...(rest.responseStream ? { serverStreaming: true } : {}),
  }));
  return { name: service.name, method };
}

/** All names that lead to the file of a declaration. Values of an enum stand beside it, not in it. */
function symbolsOf(object) {
  const own = nameOf(object);
  const inner = (names) => names.map((name) => `${own}.${name}`);
  if (object instanceof protobuf.Service) return [own, ...inner(Object.keys(object.methods))];
  if (object instanceof protobuf.Enum) {
    const beside = own.slice(0, own.length - object.name.length);
    return [own, ...Object.keys(object.values).map((name) => `${beside}${name}`)];
  }
  const nested = object.nestedArray.filter(isDeclaration).flatMap(symbolsOf);
  return [own, ...inner([...Object.keys(object.fields), ...oneofsOf(object).map(({ name }) => name)]), ...nested];
}
