// Every link in the project's pages leads somewhere: files exist, headings are there.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

const below = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path))

/** The generated reference is not ours to check. */
const PAGES = [...readdirSync(root), ...['docs', 'models', 'examples'].flatMap(below)].filter(
  (path) => path.endsWith('.md') && !/(^|\/)(docs\/api|node_modules)\//.test(path),
)

const read = (path: string) => readFileSync(join(root, path), 'utf8').replace(/^```[\s\S]*?^```$/gm, '')

/** The anchors of a page's headings, as they are made where repositories are shown. */
function anchors(path: string): Set<string> {
  const seen = new Map<string, number>()
  const found = new Set<string>()
  for (const [, heading] of read(path).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-')
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    found.add(count === 0 ? slug : `${slug}-${count}`)
  }
  return found
}

function links(path: string): string[] {
  const text = read(path).replace(/`[^`\n]*`/g, '')
  return [...text.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].map(([, target]) => target)
}

function fault(page: string, link: string): string | null {
  if (/^(https?|mailto):/.test(link)) return null
  const [path, anchor] = link.split('#')
  const target = path === '' ? page : relative(root, resolve(root, dirname(page), path))
  if (!existsSync(join(root, target))) return `${page}: ${link}: there is no ${target}`
  if (anchor && !anchors(target).has(anchor)) return `${page}: ${link}: ${target} has no such heading`
  return null
}

describe('the links of', () => {
  it.each(PAGES)('%s', (page) => {
    expect(links(page).flatMap((link) => fault(page, link) ?? [])).toEqual([])
  })

  it('all guides: the index names every one', () => {
    const named = links('docs/README.md').map((link) => join('docs', link))
    const pages = PAGES.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md')
    expect(pages.filter((path) => !named.includes(path))).toEqual([])
  })

  it('the site has every guide as a page, and every entry point', () => {
    const { projectDocuments, entryPoints } = JSON.parse(readFileSync(join(root, 'typedoc.json'), 'utf8'))
    const guides = PAGES.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md')
    expect(guides.filter((path) => !projectDocuments.includes(path))).toEqual([])
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const built = Object.values<{ types?: string }>(exports).flatMap(({ types }) => types ?? [])
    const sources = built.map((file) => file.replace('./dist/', 'src/').replace('.d.ts', '.ts'))
    expect([...entryPoints].sort()).toEqual(sources.sort())
  })

  it('pages that lead nowhere would be found', () => {
    expect(fault('README.md', 'docs/nowhere.md')).toContain('there is no docs/nowhere.md')
    expect(fault('README.md', 'docs/protocol.md#nowhere')).toContain('no such heading')
    expect(PAGES.length).toBeGreaterThan(8)
  })
})
