// Runs a command of the program in this process, without a build: what it prints, and what it throws.
import { stripVTControlCharacters } from 'node:util'
import { vi } from 'vitest'
import { type Command, Flags } from '../../src/cli/terminal/arguments.js'

export async function run(command: Command, ...args: string[]): Promise<string> {
  let printed = ''
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text
    return true
  })
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    await command.run(new Flags(command, args), args)
    return printed
  } finally {
    stdout.mockRestore()
    stderr.mockRestore()
  }
}

/** The same on a terminal, in colours that are taken off again. */
export async function onTerminal(columns: number, command: Command, ...args: string[]): Promise<string> {
  const before = { isTTY: process.stdout.isTTY, columns: process.stdout.columns }
  Object.assign(process.stdout, { isTTY: true, columns })
  try {
    return stripVTControlCharacters(await run(command, ...args))
  } finally {
    Object.assign(process.stdout, before)
  }
}
