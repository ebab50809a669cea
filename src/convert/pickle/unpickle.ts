// Reads Python pickles of protocols 2 to 5 as data. A pickle is a program for a stack machine; of its opcodes only
// those that build data are known here, and a global name means something only when it is on the caller's closed list.
// Nothing of the file is ever run, imported or evaluated. Opcodes: CPython, Lib/pickletools.py.
import { Machine, type UnpickleOptions } from './machine.js'
import { OPCODES } from './opcodes.js'
import { checkTree, type Pickled } from './values.js'

/** Opcodes one pickle may have; a thousand tensors take about forty thousand. */
const MOST_OPCODES = 2 ** 21

/**
 * Unfolds one pickle.
 * @returns its value, and the position after its last byte
 * @throws RingfenceError BAD_FILE for a name outside the closed list (all of them are listed) without `onLeftOut`, a length beyond the file,
 *   a container that contains itself, and anything else that is not a pickle of plain data
 */
export function unpickle(file: Uint8Array, options: UnpickleOptions): { value: Pickled; end: number } {
  const machine = new Machine(file, options)
  try {
    return { value: run(machine, options.onLeftOut), end: machine.at }
  } catch (error) {
    // A name outside the list is what to tell, whatever else went wrong after it.
    if (machine.foreign.size === 0) throw error
  }
  return machine.refuse()
}

/** Opcode after opcode until the one that ends the pickle. */
function run(machine: Machine, onLeftOut: UnpickleOptions['onLeftOut']): Pickled {
  const start = machine.at
  if (machine.file[start] !== 0x80) machine.fail('expected a pickle of protocol 2 to 5, which starts with byte 0x80')
  for (let count = 0; count < MOST_OPCODES; count++) {
    const code = machine.byte()
    if (code === 0x2e) return result(machine, onLeftOut)
    const opcode = OPCODES.get(code)
    if (!opcode) machine.fail(`opcode 0x${code.toString(16)} at byte ${machine.at - 1} does not build data`)
    opcode(machine)
  }
  return machine.fail(`the pickle that starts at byte ${start} has more than ${MOST_OPCODES} opcodes`)
}

/** The one value that is left. */
function result(machine: Machine, onLeftOut: UnpickleOptions['onLeftOut']): Pickled {
  if (machine.foreign.size > 0 && !onLeftOut) machine.refuse()
  onLeftOut?.({ names: [...machine.foreign], entries: machine.oddEntries })
  if (machine.marks.length > 0 || machine.stack.length !== 1) {
    machine.fail(`expected one value at the end of the pickle, got ${machine.stack.length}`)
  }
  const value = machine.stack[0]
  checkTree(value, machine.budget)
  return value
}
