// The command lines that pages show are ones the program understands, and the README shows every command.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './guides.js'

const cli = join(root, 'dist/cli.js')
const run = (...args: string[]) => execFileSync(process.execPath, [cli, ...args], { encoding: 'utf8' })
const guides = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
/** The generated reference is not ours to check. */
const pages = guides.filter((path) => path.endsWith('.md') && !path.startsWith('api/')).map((path) => `docs/${path}`)
pages.push('README.md')
const read = (page: string) => readFileSync(join(root, page), 'utf8')
const commands = [...run('--help').matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name)
const help = new Map(commands.map((name) => [name, run(name, '--help')]))

/** `ringfence COMMAND …` and `npm run demo -- …`, up to the end of the line, the code or a comment. */
function shown(page: string): { command: string; line: string }[] {
  const direct = [...read(page).matchAll(/(?:npx |npm:)ringfence ([a-z]+)([^`\n#]*)/g)]
  const scripts = [...read(page).matchAll(/npm run (demo|bench) -- ([^`\n#]*)/g)]
  return [...direct, ...scripts].map(([line, command]) => ({ command, line }))
}

describe('the command lines', () => {
  it.each(pages)('of %s exist, with their flags', (page) => {
    const wrong = shown(page).flatMap(({ command, line }) => {
      if (command === 'bench') return [] // its parts have flags of their own
      const known = help.get(command)
      if (!known) return [`${line}: no command ${command}`]
      const flags = [...line.matchAll(/ (--[a-z-]+)/g)].map(([, flag]) => flag).filter((flag) => flag !== '--')
      return flags.filter((flag) => !known.includes(` ${flag} `)).map((flag) => `${line}: no flag ${flag}`)
    })
    expect(wrong).toEqual([])
  })

  it('of the README are all there are', () => {
    expect(commands.length).toBeGreaterThan(9)
    const text = read('README.md')
    const missing = commands.filter((name) => !text.includes(`ringfence ${name}`) && !text.includes(`\`${name}\``))
    expect(missing).toEqual([])
  })
})
