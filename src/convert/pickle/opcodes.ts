// The opcodes that build data. Numbers and names are those of CPython, Lib/pickletools.py.
import type { Machine } from './machine.js'
import { describeValue, Foreign, Global, type Pickled, PickleObject } from './values.js'

type Opcode = (machine: Machine) => void

const LONGEST_NAME = 512
/** Python ints of more bytes than this mean nothing to a network. */
const LONGEST_INTEGER = 32

/** Little-endian two's complement; a bigint only beyond 2^53. */
function readInteger(machine: Machine, length: number): number | bigint {
  if (length > LONGEST_INTEGER) machine.fail(`an integer of ${length} bytes; expected at most ${LONGEST_INTEGER}`)
  const bytes = machine.bytes(length)
  let value = 0n
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i])
  const signed = BigInt.asIntN(8 * length, value)
  const number = Number(signed)
  return Number.isSafeInteger(number) ? number : signed
}

/** Python 2's str: bytes that are mostly text, kept one character a byte. */
function readByteString(machine: Machine, length: number): string {
  const bytes = machine.bytes(length)
  machine.budget.spend(length, 'the texts of the pickle')
  return fromLatin1(bytes)
}

function fromLatin1(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return text
}

function append(machine: Machine, list: Pickled, items: readonly Pickled[]): void {
  if (list instanceof Foreign) return
  if (!Array.isArray(list) || Object.isFrozen(list)) machine.fail('the pickle appends to something other than a list')
  for (const item of items) list.push(item)
}

function setItems(machine: Machine, dict: Pickled, items: readonly Pickled[]): void {
  if (dict instanceof Foreign) return
  if (!(dict instanceof Map)) machine.fail('the pickle sets items of something other than a dict')
  if (items.length % 2 !== 0) machine.fail('the pickle sets a key of a dict without a value')
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]
    if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'boolean') {
      if (!machine.leavesOut) machine.fail(`expected texts or numbers as keys of a dict, got ${describeValue(key)}`)
      machine.oddEntries++
      continue
    }
    dict.set(key, items[i + 1])
  }
}

function call(machine: Machine, callee: Pickled, args: Pickled): Pickled {
  if (callee instanceof Foreign) return callee
  if (!(callee instanceof Global)) machine.fail(`the pickle calls ${describeValue(callee)}`)
  if (!callee.call) machine.fail(`the pickle calls ${callee.name}, which is only ever named`)
  if (!Array.isArray(args)) machine.fail(`expected a tuple of arguments for ${callee.name}, got ${describeValue(args)}`)
  machine.budget.spend(256, 'the objects of the pickle')
  // Made of what is left out, such as a tensor of complex numbers.
  if (args[0] instanceof Foreign) return args[0]
  return callee.call(args, machine.budget)
}

/** `cls.__new__`: no type on any closed list is pickled this way, so it is only skipped over. */
function newObject(machine: Machine, type: Pickled): void {
  if (!(type instanceof Foreign)) machine.fail(`the pickle makes an object of ${describeValue(type)}`)
  machine.push(type)
}

function build(machine: Machine): void {
  const state = machine.pop()
  const target = machine.top()
  // An OrderedDict's attributes, such as the _metadata of a state_dict, are no tensors.
  if (target instanceof Map) return
  if (!(target instanceof PickleObject)) machine.fail(`the pickle sets the state of ${describeValue(target)}`)
  target.build(state, machine.budget)
}

function remember(machine: Machine, index: number): void {
  machine.memo.set(index, machine.top())
}

function recall(machine: Machine, index: number): void {
  if (!machine.memo.has(index)) machine.fail(`the pickle recalls value ${index}, which it never stored`)
  machine.push(machine.memo.get(index))
}

function tuple(machine: Machine, length: number): void {
  const items = new Array<Pickled>(length)
  for (let i = length - 1; i >= 0; i--) items[i] = machine.pop()
  machine.pushContainer(Object.freeze(items))
}

function persistent(machine: Machine): void {
  const id = machine.pop()
  if (!machine.persistent) machine.fail('the pickle refers to values outside itself')
  // An id that holds a foreign class is left to the message about that class.
  const isForeign = Array.isArray(id) && id.some((part) => part instanceof Foreign)
  machine.push(isForeign ? new Foreign() : machine.persistent(id))
}

function protocol(machine: Machine): void {
  const version = machine.byte()
  if (version < 2 || version > 5) machine.fail(`expected a pickle of protocol 2 to 5, got protocol ${version}`)
}

function frame(machine: Machine): void {
  const length = machine.uint64()
  if (length > machine.file.length - machine.at) machine.fail(`a frame of ${length} bytes reaches past the file's end`)
}

const CONSTANTS: readonly [number, Opcode][] = [
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4b, (m) => m.push(m.byte())], // BININT1
  [0x4d, (m) => m.push(m.uint16())], // BININT2
  [0x4a, (m) => m.push(m.int32())], // BININT
  [0x8a, (m) => m.push(readInteger(m, m.byte()))], // LONG1
  [0x8b, (m) => m.push(readInteger(m, m.uint32()))], // LONG4
  [0x47, (m) => m.push(m.float64())], // BINFLOAT
  [0x8c, (m) => m.push(m.text(m.byte()))], // SHORT_BINUNICODE
  [0x58, (m) => m.push(m.text(m.uint32()))], // BINUNICODE
  [0x8d, (m) => m.push(m.text(m.uint64()))], // BINUNICODE8
  [0x55, (m) => m.push(readByteString(m, m.byte()))], // SHORT_BINSTRING
  [0x54, (m) => m.push(readByteString(m, m.uint32()))], // BINSTRING
  [0x43, (m) => m.push(m.bytes(m.byte()))], // SHORT_BINBYTES
  [0x42, (m) => m.push(m.bytes(m.uint32()))], // BINBYTES
  [0x8e, (m) => m.push(m.bytes(m.uint64()))], // BINBYTES8
  [0x96, (m) => m.push(m.bytes(m.uint64()))], // BYTEARRAY8
]

const CONTAINERS: readonly [number, Opcode][] = [
  [0x28, (m) => m.marks.push(m.stack.length)], // MARK
  [0x5d, (m) => m.pushContainer([])], // EMPTY_LIST
  [0x7d, (m) => m.pushContainer(new Map())], // EMPTY_DICT
  [0x29, (m) => tuple(m, 0)], // EMPTY_TUPLE
  [0x85, (m) => tuple(m, 1)], // TUPLE1
  [0x86, (m) => tuple(m, 2)], // TUPLE2
  [0x87, (m) => tuple(m, 3)], // TUPLE3
  [0x74, (m) => m.pushContainer(Object.freeze(m.popMarked()))], // TUPLE
  [0x61, (m) => appendOne(m)], // APPEND
  [0x65, (m) => appendMarked(m)], // APPENDS
  [0x73, (m) => setOne(m)], // SETITEM
  [0x75, (m) => setMarked(m)], // SETITEMS
  [0x30, (m) => popOrUnmark(m)], // POP
  [0x31, (m) => void m.popMarked()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
]

const OBJECTS: readonly [number, Opcode][] = [
  [0x71, (m) => remember(m, m.byte())], // BINPUT
  [0x72, (m) => remember(m, m.uint32())], // LONG_BINPUT
  [0x94, (m) => remember(m, m.memo.size)], // MEMOIZE
  [0x68, (m) => recall(m, m.byte())], // BINGET
  [0x6a, (m) => recall(m, m.uint32())], // LONG_BINGET
  [0x63, (m) => m.push(m.global(m.line(LONGEST_NAME), m.line(LONGEST_NAME)))], // GLOBAL
  [0x93, (m) => stackGlobal(m)], // STACK_GLOBAL
  [0x52, (m) => reduce(m)], // REDUCE
  [0x81, (m) => [m.pop(), newObject(m, m.pop())]], // NEWOBJ
  [0x92, (m) => [m.pop(), m.pop(), newObject(m, m.pop())]], // NEWOBJ_EX
  [0x62, build], // BUILD
  [0x51, persistent], // BINPERSID
  [0x80, protocol], // PROTO
  [0x95, frame], // FRAME
]

function appendOne(machine: Machine): void {
  const item = machine.pop()
  append(machine, machine.top(), [item])
}

function appendMarked(machine: Machine): void {
  const items = machine.popMarked()
  append(machine, machine.top(), items)
}

function setOne(machine: Machine): void {
  const value = machine.pop()
  const key = machine.pop()
  setItems(machine, machine.top(), [key, value])
}

function setMarked(machine: Machine): void {
  const items = machine.popMarked()
  setItems(machine, machine.top(), items)
}

function popOrUnmark(machine: Machine): void {
  if (machine.marks.at(-1) === machine.stack.length) machine.marks.pop()
  else machine.pop()
}

function stackGlobal(machine: Machine): void {
  const name = machine.pop()
  machine.push(machine.global(machine.pop(), name))
}

function reduce(machine: Machine): void {
  const args = machine.pop()
  machine.push(call(machine, machine.pop(), args))
}

export const OPCODES: ReadonlyMap<number, Opcode> = new Map([...CONSTANTS, ...CONTAINERS, ...OBJECTS])
