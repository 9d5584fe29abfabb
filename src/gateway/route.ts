/**
 * The table of MCP methods: what of a call decides its backend. A method that is not here is a custom one and goes to
 * whoever claims it. No era: a method that only one era has simply never comes from the other.
 */
import type { JsonObject } from './contract.ts'

export type Route =
  /** Answered from the catalog; `field` holds the items of the result. */
  | { readonly by: 'catalog'; readonly list: 'tools' | 'prompts' | 'resources' | 'templates'; readonly field: string }
  /** `params.name` is a public tool or prompt name. */
  | { readonly by: 'name'; readonly of: 'tool' | 'prompt' }
  /** `params.uri` is a public URI. */
  | { readonly by: 'uri' }
  /** `params.ref` names a prompt or a resource template. */
  | { readonly by: 'ref' }
  /** `params.taskId` is a public task id. */
  | { readonly by: 'task' }
  /** Asked of every backend that has the capability, results joined. */
  | { readonly by: 'everyone'; readonly capability: string; readonly field: string }

const routes = new Map<string, Route>([
  ['tools/list', { by: 'catalog', list: 'tools', field: 'tools' }],
  ['prompts/list', { by: 'catalog', list: 'prompts', field: 'prompts' }],
  ['resources/list', { by: 'catalog', list: 'resources', field: 'resources' }],
  ['resources/templates/list', { by: 'catalog', list: 'templates', field: 'resourceTemplates' }],
  ['tools/call', { by: 'name', of: 'tool' }],
  ['prompts/get', { by: 'name', of: 'prompt' }],
  ['resources/read', { by: 'uri' }],
  ['completion/complete', { by: 'ref' }],
  ['tasks/get', { by: 'task' }],
  ['tasks/result', { by: 'task' }],
  ['tasks/update', { by: 'task' }],
  ['tasks/cancel', { by: 'task' }],
  ['tasks/list', { by: 'everyone', capability: 'tasks', field: 'tasks' }],
])

export const routeOf = (method: string): Route | undefined => routes.get(method)

/**
 * Whether a server's capabilities claim a custom method: an extension `com.example/thing` claims `com.example/thing/do`
 * and `thing/do`; a capability key `thing` (experimental ones too) claims `thing/do`.
 */
export function claims(capabilities: JsonObject, method: string): boolean {
  const slash = method.indexOf('/')
  const prefix = slash < 0 ? method : method.slice(0, slash)
  if (Object.hasOwn(capabilities, prefix)) return true
  for (const group of ['extensions', 'experimental']) {
    const keys = capabilities[group]
    if (typeof keys !== 'object' || keys === null) continue
    for (const key of Object.keys(keys)) {
      if (method === key || method.startsWith(`${key}/`)) return true
      if (key.slice(key.lastIndexOf('/') + 1) === prefix) return true
    }
  }
  return false
}
