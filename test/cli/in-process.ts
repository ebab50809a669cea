// Runs a command of the program in this process, without a build: what it prints, and what it throws.

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
