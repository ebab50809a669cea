// Who is let in, by a file of tokens or signed tokens, and what they may use.
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import type { AccessRequest } from '../../src/net/access/gate.node.js'
import type { PeerRole, Principal } from '../../src/net/index.js'
import { Doorkeeper } from '../../src/operate/doorkeeper.js'
import { Accounts } from '../../src/operate/limits.js'
import { TokenFile } from '../../src/operate/token-file.js'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const request = (token?: string, role: PeerRole = 'client'): AccessRequest => ({
  role,
  token,
  headers: {},
  origin: undefined,
  address: '127.0.0.1',
  target: '/',
})
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringfence-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('a file of tokens', () => {
  test('names who holds a token, with role and limits', () => {
    const file = TokenFile.parse(
      `# who may connect\n\nanna ${sha256('t1')} connections=2 inferences-per-minute=30 # the app\nzoo-server ${sha256('t2')} role=server store-mb=64\n`,
      'f',
    )
    expect(file.find('t1')).toMatchObject({
      name: 'anna',
      role: 'client',
      limits: { connections: 2, inferencesPerMinute: 30 },
    })
    expect(file.find('t2')).toMatchObject({ name: 'zoo-server', role: 'server', limits: { storeMB: 64 } })
    expect(file.find('t3')).toBeUndefined()
    expect(file.find(sha256('t1'))).toBeUndefined()
  })

  test('reports every wrong line, and shows none of them', () => {
    const text = `anna secret-token\nanna ${sha256('t')} speed=7\nb/b ${sha256('t')} role=king connections=-1\n`
    const error = (() => {
      try {
        TokenFile.parse(text, 'f')
      } catch (cause) {
        return cause as RingfenceError
      }
    })()
    expect(error?.code).toBe('BAD_FILE')
    expect(error?.problems.map((problem) => problem.slice(0, 7))).toEqual(
      [1, 2, 2, 3, 3, 3].map((line) => `line ${line}:`),
    )
    expect(error?.message).not.toContain('secret-token')
    expect(() => TokenFile.parse('# nobody\n', 'f')).toThrow(/NAME SHA256/)
  })

  test('read again: newcomers enter, who was taken out does not; a wrong file changes nothing', async () => {
    const tokens = join(folder, 'tokens')
    await writeFile(tokens, `anna ${sha256('a')}`)
    const door = await Doorkeeper.create({ tokens })
    expect(await door.authorize(request('a'))).toMatchObject({ principal: { name: 'anna' } })
    expect(await door.authorize(request('b'))).toEqual({ refused: 'unauthorized' })
    await writeFile(tokens, `berta ${sha256('b')}`)
    await door.reread({ tokens })
    expect(await door.authorize(request('a'))).toEqual({ refused: 'unauthorized' })
    expect(await door.authorize(request('b'))).toMatchObject({ principal: { name: 'berta' } })
    await writeFile(tokens, 'rubbish')
    await expect(door.reread({ tokens })).rejects.toMatchObject({ code: 'BAD_FILE' })
    expect(await door.authorize(request('b'))).toMatchObject({ principal: { name: 'berta' } })
  })

  test('a client’s token makes no server; a server may also be a client', async () => {
    const tokens = join(folder, 'roles')
    await writeFile(tokens, `anna ${sha256('a')}\nzoo ${sha256('z')} role=server\n`)
    const door = await Doorkeeper.create({ tokens })
    expect(await door.authorize(request('a', 'server'))).toEqual({ refused: 'forbidden' })
    expect(await door.authorize(request('z', 'server'))).toMatchObject({ principal: { name: 'zoo' } })
    expect(await door.authorize(request('z'))).toMatchObject({ principal: { name: 'zoo' } })
  })
})

test('without tokens and keys everybody is let in, as nobody', async () => {
  const door = await Doorkeeper.create({})
  expect(door.open).toBe(true)
  expect(await door.authorize(request())).toEqual({ principal: undefined })
})

describe('limits', () => {
  test('per minute they come back evenly, and outlive connections', () => {
    let now = 0
    const accounts = new Accounts(() => now)
    const anna = (): Principal => accounts.principal('anna', { inferencesPerMinute: 6 })
    expect(anna().spend!(4)).toEqual({ granted: 4 })
    expect(anna().spend!(4)).toEqual({ granted: 2 })
    expect(anna().spend!(1)).toEqual({ granted: 0, retryAfterMs: 10_000 })
    now = 25_000
    expect(anna().spend!(9)).toEqual({ granted: 2 })
    now = 1e9
    expect(anna().spend!(9)).toEqual({ granted: 6 })
    expect(accounts.principal('berta', { inferencesPerMinute: 6 }).spend!(1)).toEqual({ granted: 1 })
  })

  test('in all they do not', () => {
    let now = 0
    const anna = new Accounts(() => now).principal('anna', { inferences: 3 })
    expect([anna.spend!(2), anna.spend!(2)]).toEqual([{ granted: 2 }, { granted: 1 }])
    now = 1e9
    expect(anna.spend!(1)).toEqual({ granted: 0 })
  })

  test('are none where none are set', () => {
    expect(new Accounts().principal('anna', { storeMB: 2, connections: 1 })).toEqual({
      name: 'anna',
      connections: 1,
      storeBytes: 2 ** 21,
    })
  })
})

describe('a file of those who are not let in any more', () => {
  const door = async (banned: string) => {
    const tokens = join(folder, 'two.tokens')
    await writeFile(tokens, `anna ${sha256('t1')}\nberta ${sha256('t2')}\n`)
    return Doorkeeper.create({ tokens, banned })
  }
  const letIn = async (door: Doorkeeper, token: string) => 'principal' in (await door.authorize(request(token)))

  test('keeps a name out at once, and after a restart', async () => {
    const banned = join(folder, 'banned')
    const first = await door(banned)
    expect([await letIn(first, 't1'), await letIn(first, 't2')]).toEqual([true, true])
    await first.ban('anna')
    expect([await letIn(first, 't1'), await letIn(first, 't2')]).toEqual([false, true])
    const second = await door(banned)
    expect([await letIn(second, 't1'), await letIn(second, 't2')]).toEqual([false, true])
  })

  test('is added to: what others wrote there stays, with or without a line break at its end', async () => {
    const banned = join(folder, 'shared')
    await writeFile(banned, 'carla')
    const here = await door(banned)
    await writeFile(banned, 'carla\ndora')
    await here.ban('anna')
    await here.ban('berta')
    expect(await readFile(banned, 'utf8')).toBe('carla\ndora\nanna\nberta\n')
  })

  test('is read again: who was taken off it may come back', async () => {
    const banned = join(folder, 'again')
    const here = await door(banned)
    await here.ban('anna')
    await writeFile(banned, 'berta\n')
    await here.reread({ tokens: join(folder, 'two.tokens'), banned })
    expect([await letIn(here, 't1'), await letIn(here, 't2')]).toEqual([true, false])
  })

  test('holds one name a line, whatever a name is', async () => {
    const banned = join(folder, 'odd')
    const here = await door(banned)
    await here.ban('jwt:x\nberta')
    await here.ban('50 %')
    expect(await readFile(banned, 'utf8')).toBe('jwt%3Ax%0Aberta\n50%20%25\n')
    expect(await letIn(await door(banned), 't2')).toBe(true)
    await writeFile(banned, 'anna\n50%\n')
    await expect(door(banned)).rejects.toMatchObject({ code: 'BAD_FILE', message: expect.stringContaining('odd') })
  })
})

describe('signed tokens', () => {
  const jwt = async (claims: object, change: (token: SignJWT) => SignJWT = (token) => token) => {
    const { publicKey, privateKey } = keys
    void publicKey
    const token = new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setSubject('anna')
      .setAudience('ringfence')
      .setExpirationTime('1h')
    return change(token).sign(privateKey)
  }
  let keys: Awaited<ReturnType<typeof generateKeyPair>>
  let file: string
  let published: string
  beforeAll(async () => {
    keys = await generateKeyPair('ES256', { extractable: true })
    file = join(folder, 'jwks.json')
    published = JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256' }] })
    await writeFile(file, published)
  })

  test('name their holder, with the limits of the claim `ringfence`', async () => {
    const door = await Doorkeeper.create({ jwks: { keys: file, audience: 'ringfence' } })
    const token = await jwt({ ringfence: { connections: 3 } })
    expect(await door.authorize(request(token))).toMatchObject({ principal: { name: 'jwt:anna', connections: 3 } })
  })

  test('are refused when expired, for another service, without end, of another key, or with a claim that is wrong', async () => {
    const door = await Doorkeeper.create({ jwks: { keys: file, audience: 'ringfence', issuer: 'https://id.example' } })
    const good = (token: SignJWT) => token.setIssuer('https://id.example')
    expect(await door.authorize(request(await jwt({}, good)))).toHaveProperty('principal')
    const other = await generateKeyPair('ES256')
    const wrong = [
      await jwt({}, (token) => good(token).setExpirationTime('-1h')),
      await jwt({}, (token) => good(token).setAudience('shop')),
      await jwt({}),
      await jwt({ ringfence: { speed: 1 } }, good),
      await good(new SignJWT({ sub: 'anna', aud: 'ringfence' }).setProtectedHeader({ alg: 'ES256' })).sign(
        keys.privateKey,
      ),
      await new SignJWT({ sub: 'anna', aud: 'ringfence', iss: 'https://id.example', exp: 4e9 })
        .setProtectedHeader({ alg: 'ES256' })
        .sign(other.privateKey),
      `${btoa('{"alg":"none"}')}.${btoa('{"sub":"anna","aud":"ringfence","exp":4000000000}')}.`,
      'no token at all',
    ]
    for (const token of wrong) expect(await door.authorize(request(token))).toEqual({ refused: 'unauthorized' })
  })

  test('are checked against keys of a URL; plain http only on this machine', async () => {
    const web = createServer((_, response) => response.end(published))
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/keys`
    const door = await Doorkeeper.create({ jwks: { keys: url, audience: 'ringfence' } })
    expect(await door.authorize(request(await jwt({})))).toHaveProperty('principal')
    web.close()
    const remote = Doorkeeper.create({ jwks: { keys: 'http://id.example/keys', audience: 'ringfence' } })
    await expect(remote).rejects.toMatchObject({ code: 'INSECURE' })
  })

  test('of keys that cannot be fetched let nobody in, and are not called wrong', async () => {
    const door = await Doorkeeper.create({ jwks: { keys: 'http://127.0.0.1:9/keys', audience: 'ringfence' } })
    await expect(door.authorize(request(await jwt({})))).rejects.toThrow()
  })

  test.each(['[]', '{"keys":[]}', 'x'])('a key set that is %s is refused', async (text) => {
    const bad = join(folder, 'bad.json')
    await writeFile(bad, text)
    await expect(Doorkeeper.create({ jwks: { keys: bad, audience: 'a' } })).rejects.toBeInstanceOf(RingfenceError)
  })
})
