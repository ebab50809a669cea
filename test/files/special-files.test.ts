// Files that are none: devices, pipes, folders and symbolic links, read from and written to.
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFileEngine } from '../../src/engine/file.node.js'
import { readArchitectureFile } from '../../src/files/architecture-file.js'
import { imageInputs, readImageFiles } from '../../src/files/image-files.js'
import { readImageSet } from '../../src/files/image-set.js'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { findModel } from '../../src/files/prepared-model.js'
import { existing, makeFolder, readWhole, requireWritable, writeText } from '../../src/files/whole-files.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { root } from '../cli/program.js'

const isPosix = process.platform !== 'win32'
const why = isPosix ? '' : ' (SKIPPED: this system has no such files)'

/** In front of a command that permissions are to bind: nothing for most, for root what takes its rights over files away. */
const noRights = !isPosix ? undefined : process.getuid!() !== 0 ? [] : withoutRights()

function withoutRights(): string[] | undefined {
  const command = ['setpriv', '--bounding-set=-dac_override,-dac_read_search']
  return spawnSync(command[0], [command[1], 'true']).status === 0 ? command : undefined
}

let dir: string
const at = (name: string) => join(dir, name)
const LONG = 'n'.repeat(300)

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-special-'))
  if (!isPosix) return
  execFileSync('mkfifo', [at('pipe')])
  writeFileSync(at('plain'), 'before')
  symlinkSync(at('plain'), at('link'))
  symlinkSync(at('nowhere'), at('dangling'))
  symlinkSync(at('loop'), at('loop'))
  mkdirSync(at('folder'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe.skipIf(!isPosix)(`as inputs${why}`, () => {
  it('are refused before they are opened, so that nothing blocks or never ends', async () => {
    await expect(readWhole('/dev/zero')).rejects.toThrow('/dev/zero: expected a plain file, found a device')
    await expect(readWhole(at('pipe'))).rejects.toThrow('expected a plain file, found a pipe')
    await expect(readWhole(at('folder'))).rejects.toThrow('expected a plain file, found a folder')
    await expect(readWhole('/proc')).rejects.toThrow('expected a plain file, found a folder')
    expect(new TextDecoder().decode(await readWhole(at('link')))).toBe('before')
  })

  it('are refused among pictures, all at once', async () => {
    const pictures = readImageFiles([at('pipe'), '/dev/zero', at('missing')])
    await expect(pictures).rejects.toMatchObject({
      problems: [
        `${at('pipe')}: expected a plain file, found a pipe`,
        '/dev/zero: expected a plain file, found a device',
        `${at('missing')}: there is no such file`,
      ],
    })
    const [plain] = await readImageFiles([at('plain')])
    expect(() => imageInputs([plain], { input: { shape: [1, 28, 28] } } as never)).toThrow()
  })

  it('are refused in a model', async () => {
    mkdirSync(at('model'))
    execFileSync('mkfifo', [join(at('model'), 'arch.json')])
    writeFileSync(join(at('model'), 'weights.safetensors'), '')
    await expect(loadModelDirectory(at('model'))).rejects.toThrow(/arch\.json: expected a file in .*, but found a pipe/)
  })
})

describe.skipIf(!isPosix)(`what the system does not look up${why}`, () => {
  const arch = parseArchitecture({
    ...{ format: 'arch/1', name: 'flat', inputs: [{ name: 'x', shape: [1, 2, 2] }], outputs: ['flat'] },
    layers: [{ id: 'flat', op: 'flatten', in: ['x'] }],
  })

  it.each([
    ['ELOOP', 'loop', 'its symbolic links lead in a circle'],
    ['ENAMETOOLONG', LONG, 'the name is too long for this system'],
  ])('is said with its reason: %s', async (code, name, advice) => {
    const refused = {
      code: 'BAD_FILE',
      message: expect.stringContaining(`${at(name)}: what is there cannot be told (${code}): ${advice}`),
    }
    await expect(readImageSet(at(name), arch)).rejects.toMatchObject(refused)
    expect(() => existing(at(name))).toThrow(expect.objectContaining(refused))
    expect(() => findModel(at(name))).toThrow(expect.objectContaining(refused))
    await expect(readArchitectureFile(at(name))).rejects.toMatchObject(refused)
  })

  it('is not what is not there', async () => {
    for (const name of ['missing', 'dangling', 'plain/x']) expect(existing(at(name))).toBeUndefined()
    await expect(readImageSet(at('plain/x'), arch)).rejects.toThrow('plain/x: there is no such file or folder')
    expect(() => findModel(at('missing'))).toThrow('there is no model')
  })
})

describe.skipIf(!isPosix)(`as outputs${why}`, () => {
  const others = ['pipe', 'link', 'dangling', 'folder']

  it.each([[false], [true]])('are never replaced, force %s', async (force) => {
    for (const path of [...others.map(at), '/dev/full', '/dev/stdout']) {
      const was = lstatSync(path)
      await expect(writeText(path, 'after', force)).rejects.toThrow(/expected the name of a plain file, or a new one/)
      expect(lstatSync(path).mode).toBe(was.mode)
    }
    expect(readFileSync(at('plain'), 'utf8')).toBe('before')
    expect(existsSync(at('nowhere'))).toBe(false)
    await expect(requireWritable([...others.map(at), at('new')], force)).rejects.toMatchObject({
      problems: ['a pipe', 'a symbolic link', 'a symbolic link', 'a folder'].map((found, i) => {
        return `${at(others[i])}: expected the name of a plain file, or a new one, found ${found}`
      }),
    })
  })

  it('whose names the system does not look up are refused before long work', async () => {
    await expect(requireWritable([at('loop/x'), at('loop/x/y'), at(LONG), at('new/x')], false)).rejects.toMatchObject({
      code: 'BAD_INPUT',
      problems: [
        expect.stringContaining(`${at('loop/x')}: what is there cannot be told (ELOOP): its symbolic links`),
        expect.stringContaining(`${at('loop/x/y')}: what is there cannot be told (ELOOP): its symbolic links`),
        expect.stringContaining(`${at(LONG)}: what is there cannot be told (ENAMETOOLONG): the name is too long`),
      ],
    })
  })

  it.skipIf(!existsSync('/proc/self'))(
    'that /proc does not take are refused at once (SKIPPED without /proc)',
    async () => {
      const refused = {
        code: 'BAD_INPUT',
        message: expect.stringMatching(/^\/proc\/d\/x: nothing can be written to \/proc \(E[A-Z]+\)/),
      }
      await expect(requireWritable(['/proc/d/x'], true)).rejects.toMatchObject(refused)
      await expect(writeText('/proc/d/x', 'after', false)).rejects.toMatchObject(refused)
      await expect(makeFolder('/proc/d')).rejects.toMatchObject({
        code: 'BAD_INPUT',
        message: expect.stringContaining('/proc/d: expected a folder'),
      })
      await expect(openFileEngine('/proc/q', { name: 'jobs' } as never)).rejects.toMatchObject({
        code: 'HOST',
        message: expect.stringMatching(/^\/proc\/q: the queue needs a folder that can be written \(ENOENT\); change/),
      })
    },
  )

  it.skipIf(noRights === undefined)(
    'that permissions keep away are refused (SKIPPED where root has no setpriv, and on Windows)',
    async () => {
      mkdirSync(at('owned'))
      chmodSync(at('owned'), 0o555)
      const convert = [
        'convert',
        'models/mnist-cnn3/weights.safetensors',
        '--arch',
        'models/mnist-cnn3/arch.json',
        '-o',
      ]
      const command = [...noRights!, process.execPath, `${root}dist/cli.js`, ...convert, join(at('owned'), 'made')]
      const said = await new Promise<string>((resolve) => {
        execFile(command[0], command.slice(1), { cwd: root }, (_, __, stderr) => resolve(stderr))
      })
      expect(said.replace(/\s+/g, ' ')).toContain(
        `nothing can be written to ${at('owned')} (EACCES); change its permissions`,
      )
    },
  )

  it('leave plain files as they were, unless those may be replaced', async () => {
    await expect(writeText(at('plain'), 'after', false)).rejects.toThrow('there already; --force overwrites')
    await writeText(at('second'), 'one', false)
    await writeText(at('second'), 'two', true)
    expect(readFileSync(at('second'), 'utf8')).toBe('two')
  })
})

const shell = (command: string) =>
  new Promise<{ status: unknown; stdout: string; stderr: string }>((resolve) => {
    const quoted = command.replace('ringfence', `"${process.execPath}" "${root}dist/cli.js"`)
    execFile('bash', ['-o', 'pipefail', '-c', quoted], { cwd: root, timeout: 120_000 }, (error, stdout, stderr) => {
      resolve({ status: error ? error.code : 0, stdout, stderr })
    })
  })

const noInput = existsSync('/dev/stdin') ? '' : ' (SKIPPED: this system has no /dev/stdin)'
describe.skipIf(noInput !== '')(`standard input as a file${noInput}`, { timeout: 120_000 }, () => {
  it('is read where it is a plain file', async () => {
    const { status, stdout } = await shell('ringfence inspect /dev/stdin < models/mnist-cnn3/arch.json')
    expect(status).toBe(0)
    expect(stdout).toContain('mnist-cnn3, input 1×28×28')
  })

  it('is refused by name where it is a pipe, and never waited for', async () => {
    const { status, stderr } = await shell('cat models/mnist-cnn3/arch.json | ringfence inspect /dev/stdin')
    expect(status).toBe(1)
    expect(stderr).toBe('error BAD_FILE\n  /dev/stdin: expected a plain file, found a pipe\n')
  })
})

const noFull = existsSync('/dev/full') ? '' : ' (SKIPPED: this system has no /dev/full)'
describe.skipIf(noFull !== '')(`standard output${noFull}`, () => {
  it('that is full ends with one line and a status', { timeout: 120_000 }, async () => {
    const { status, stderr } = await shell('ringfence inspect mnist-cnn3 > /dev/full')
    expect(status).toBe(1)
    expect(stderr).toBe('error HOST: standard output cannot be written: the disk is full\n')
  })

  it('whose reader has gone does, too', { timeout: 120_000 }, async () => {
    const { status, stderr } = await shell('ringfence inspect resnet20-cifar10 --json | true')
    expect(status).toBe(1)
    expect(stderr).toBe('error HOST: standard output cannot be written: its reader has gone\n')
  })

  it('is no place for a chart', { timeout: 120_000 }, async () => {
    const { status, stderr } = await shell('ringfence inspect mnist-cnn3 --svg /dev/full')
    expect(status).toBe(1)
    expect(stderr).toMatch(/\/dev\/full: expected the name of a plain file, or a new one, found a\n? +device/)
    expect(lstatSync('/dev/full').isCharacterDevice()).toBe(true)
  })
})
