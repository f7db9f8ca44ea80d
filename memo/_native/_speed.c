/* memo._native._speed: the hot path of the package in C.
 *
 * The rule of the house: C decides nothing.  It answers what is common and simple; on any doubt it calls the generated
 * Python wrapper with the arguments as they came.  The Python path is the reference, and what runs where there is no C.
 *
 * What holds in every section:
 *
 * - The interpreter lock makes atomic whatever lies between two possible calls of user code.  User code runs in
 *   __hash__ and __eq__ of keys, in any function that is called, and wherever a reference is given up whose object it
 *   may be the last of (__del__, weakref callbacks).
 * - So no reference is given up while a structure is half changed: what left is collected, and released at the end.
 * - A reference that must outlive a call of user code is an own one, whoever else holds the object.
 * - Types are heap types that belong to a module object; there is no global object, so that each interpreter has its own.
 *
 * The sections, each with what it is, its invariants, and who owns which reference at its head:
 *
 *     1 Ground       4 Flights     7 Coroutine
 *     2 Nodes        5 Call        8 Window
 *     3 Store        6 Proxy       9 Module
 */

/* ======================================================================================================== 1 Ground
 *
 * What every section uses: includes, the module's state, small helpers.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if PY_VERSION_HEX >= 0x030D0000 /* exported, and told of by a header of the interpreter's own alone */
PyAPI_FUNC(int) _PyDict_SetItem_KnownHash(PyObject *dictionary, PyObject *key, PyObject *value, Py_hash_t hash);
PyAPI_FUNC(int) _PyDict_DelItem_KnownHash(PyObject *dictionary, PyObject *key, Py_hash_t hash);
#endif

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#ifndef MS_WINDOWS
#  include <unistd.h>
#else
typedef int pid_t;
#endif

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000
#  error "made for CPython 3.11 to 3.13: elsewhere the package runs without this extension"
#endif
#ifdef Py_GIL_DISABLED
#  error "counts on the interpreter lock: free-threaded builds run without this extension"
#endif

/* What the module owns, by section: a name for each type, and for each other object.  A section writes its names into its
 * own two rows (`#define NODES_TYPES(V) V(Node) V(Entry)`); fields, traversal and clearing follow from them. */
#define NODES_TYPES(V) V(Node) V(Mark) V(Queue) V(Entry) V(TrackedEntry) V(Ghost) V(Share) V(Policy) \
    V(LargeTable) V(LargeWalk)
#define NODES_OBJECTS(V)

#define STORE_TYPES(V)
#define STORE_OBJECTS(V) V(Changes) V(Shelf) V(Owners) V(Figures) V(CallCounts) V(RLock) V(in_shelf) V(in_own_shelf) \
    V(in_large_table) V(Listed) V(WHOLE_name) V(MOST_name) V(LOT_name)

#define FLIGHTS_TYPES(V) V(Leading)
#define FLIGHTS_OBJECTS(V) V(InFlight) V(Counters) V(Clock) V(Known) V(modules) V(who) V(thread_ident) V(PLAIN) V(CALL) \
    V(RUNNING) V(RETURNED) V(ABANDONED) V(InstanceRef) V(greenlet) V(no_tags) V(zero) V(one) V(expired) \
    V(monotonic) V(end_load)

#define CALL_TYPES(V) V(Recipe) V(Refs) V(Call)
#define CALL_OBJECTS(V)

#define PROXY_TYPES(V) V(Proxy) V(Binding) V(Method)
#define PROXY_OBJECTS(V) V(Bound)

#define COROUTINE_TYPES(V) V(Coroutine) V(Awaiter) V(TaskLeading) V(Running)
#define COROUTINE_OBJECTS(V) V(warn) V(spare) V(TaskFlight) V(Work) V(work_mark) V(running_loop) V(current_task) \
    V(current_tasks) V(loop_name) V(LoopHolder) V(Hamt) V(HamtNode) V(dict_get) V(dict_setdefault) V(dict_pop) \
    V(dict_popitem) V(dict_keys) V(dict_items) V(dict_values) V(dict_update) V(dict_clear) V(dict_copy)

#define WINDOW_TYPES(V) V(Tape) V(TimeFields) V(IntakeFields)
#define WINDOW_OBJECTS(V) V(window_ok) V(window_direct) V(window_queue) V(window_relieve)

#define STATE_TYPES(V) NODES_TYPES(V) STORE_TYPES(V) FLIGHTS_TYPES(V) CALL_TYPES(V) PROXY_TYPES(V) COROUTINE_TYPES(V) \
    WINDOW_TYPES(V)
#define STATE_OBJECTS(V) NODES_OBJECTS(V) STORE_OBJECTS(V) FLIGHTS_OBJECTS(V) CALL_OBJECTS(V) PROXY_OBJECTS(V) \
    COROUTINE_OBJECTS(V) WINDOW_OBJECTS(V)

/* The attributes of Python's objects that C reads and writes where they lie, by class (sections 3, 4 and 7). */
#define STORE_SLOTS(V) V(Changes, busy) V(Changes, torn) V(Changes, put_off) V(Shelf, index) V(Shelf, cache) V(Shelf, most) \
    V(Owners, apart) V(Owners, instances) V(Owners, weak) V(Owners, listing) V(Owners, dead) V(Shelf, lingering) \
    V(Figures, left) V(Figures, left_for_size) V(Figures, seen_hits) V(CallCounts, load_seconds)
#define FLIGHTS_SLOTS(V) V(InFlight, current) V(InFlight, key) V(InFlight, fenced) V(InFlight, leader) \
    V(InFlight, started) V(InFlight, state) V(InFlight, led) V(InFlight, purpose) V(InFlight, waiters) \
    V(InFlight, present) V(InFlight, joined) V(InFlight, over) V(InFlight, tags) V(InFlight, value) \
    V(InFlight, was_current) V(InFlight, heir) V(InFlight, error) V(InFlight, traceback) V(InFlight, after) V(InFlight, load) \
    V(Counters, led) V(Counters, completed) V(Counters, cancelled) V(Clock, read) V(Known, _tables) \
    V(InstanceRef, table)
#define COROUTINE_SLOTS(V) V(TaskFlight, struck) V(TaskFlight, cancelling) V(TaskFlight, task) V(TaskFlight, timer) \
    V(TaskFlight, alarm) V(TaskFlight, when_done) V(TaskFlight, bound) V(TaskFlight, inside) V(TaskFlight, left_at) \
    V(TaskFlight, work) V(TaskFlight, loop) V(Work, over) V(Work, left) V(Work, awaits) V(Work, within)

typedef struct {
#define V(name) PyTypeObject *name;
    STATE_TYPES(V)
#undef V
#define V(name) PyObject *name;
    STATE_OBJECTS(V)
#undef V
    /* What is no object, by section. */
    int64_t heavy; /* nodes that are no objects of the collector's, and may hold some */
    uint64_t tables; /* how many large tables were made */
#define V(name, slot) Py_ssize_t at_##name##_##slot;
    STORE_SLOTS(V)
    FLIGHTS_SLOTS(V)
    COROUTINE_SLOTS(V)
#undef V
    int tells_evictions; /* what leaves a store is told to somebody whom its function does not know of */
    uint64_t modules_seen; /* the version of sys.modules in which there was no greenlet */
    struct Coroutine *waiting; /* memory of dead coroutines, used again */
    struct Coroutine *young;   /* the last one made, if it lives and the collector does not know of it; borrowed */
    int waiting_count;
    int is_over; /* the module has been cleared */
    pid_t pid;   /* the process, as far as that is known: see loop_here() */
    struct Node *dead_entries; /* memory of dead ones, used again: each is the `older` of another */
    int dead_entries_count;
    uint64_t loop_seen;  /* the version of a thread's dictionary by which its event loop is `loop_known`, borrowed; 0: none */
    uint64_t tasks_seen; /* that of `current_tasks` by which the task of `tasks_loop` is `task_known`, borrowed; 0: none */
    PyObject *loop_known, *task_known, *tasks_loop;
    Py_ssize_t at_vars, at_root, at_pairs; /* where a context, and what it consists of, has the next; 0: not known */
    Py_ssize_t mark_place;                 /* where among the pairs work_mark was last */
    PyCFunction monotonic_in_c; /* NULL where time.monotonic was replaced before */
    hashfunc hash_in_python;    /* of a class whose __hash__ is written in Python */
} State;

static struct PyModuleDef speed_module;

/* The state of the module that made a type, also where Python derived another type from it; NULL with an error set. */
static inline State *
state_of(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &speed_module);
    return module == NULL ? NULL : (State *)PyModule_GetState(module);
}

/* Make a type of this module, and a name of the module's for it.  Returns a new reference, which is the state's. */
static inline PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec, PyObject *bases)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

/* ========================================================================================================= 2 Nodes
 *
 * Node, Entry, Queue, Ghost, Share, LargeTable; what the adaptive policy and S3-FIFO do when an entry comes into a full store.
 *
 * Who owns what:
 *
 * - A node owns its key, and an entry its value.   Entries are owned by the index of their store, which is a dictionary,
 *   or a LargeTable.
 * - Links are borrowed.  A node counts the links that lead to it (`linked`), and takes them back as it dies; should it
 *   not find them all, since a change was cut short, it lives on without its contents until the last one goes.
 * - A Queue owns none of the nodes that hang in it.
 *
 * The collector: an Entry is none of its objects, which saves 16 bytes, and the collector its time.  The index does not
 * visit what an entry holds; the queue in which the entry hangs does so in its place, while nobody but the index owns
 * the entry (one reference).  This is right because whoever reaches the index reaches the queue.  Who visited more would
 * have values cleared in the hands of others; who visits less keeps garbage for a while.  Entries that other tables hold
 * too are TrackedEntry, common objects of the collector.  What holds nothing that the collector knows need not be
 * visited: `heavy` is set where an entry may hold something, and the state counts these entries.
 */

#ifdef __GNUC__
#  define PACKED __attribute__((packed))
#else
#  define PACKED
#endif

enum { MARK_NONE, MARK_INT, MARK_OBJECT }; /* what the mark of a node is: there is none, a number, an object */

#define MOST_HITS (((int64_t)1 << 48) - 1)
#define MOST_MARK (((int64_t)1 << 53) - 1)
#define TIME_NEVER (((uint64_t)1 << 40) - 1) /* as it is held: later than any time */
#define NEVER ((int64_t)1 << 62)             /* as Python knows it */
#define MOST_LINKS 15
#define MOST_DEAD 32 /* so much memory of dead entries is kept */

/* A key's place in a queue, and how often it was used. */
typedef struct Node {
    PyObject_HEAD
    PyObject *key;              /* own; NULL where there is none */
    struct Node *older, *newer; /* borrowed; NULL while it hangs in no queue */
    int64_t mark : 54;          /* the policy's: a number, or the address of an own object over 8 */
    uint64_t mark_kind : 2;
    uint64_t is_entry : 1; /* it is laid out as an Entry */
    uint64_t heavy : 1;    /* it is no object of the collector's, and may hold some */
    uint64_t heavy_key : 1; /* its key may be, or hold, one of these */
    uint64_t dead : 1;     /* it has no owner, and lives on for links that lead to it; they own one reference */
    uint64_t linked : 4;   /* links that lead to it; MOST_LINKS: perhaps more, which never ends */
    struct PACKED {
        uint64_t hits : 48;
        uint64_t counted : 40; /* those hits that the figures of the store have, but for higher bits: of an entry */
        uint64_t time : 40;    /* 1 more than the time; 0: none is set */
    };
} Node;

/* A stored value, its own node in the rings of a policy. */
typedef struct {
    Node node;
    PyObject *value; /* own; NULL: not set, or cleared by the collector */
    double deadline; /* the time from which on it is stale */
    double stored;   /* the time at which it was stored */
} Entry;

/* A number that is a small integer, but where a user weighs with others. */
typedef struct {
    int64_t n;
    PyObject *other; /* own; NULL: n is it */
} Amount;

/* A ring of nodes that begins and ends with itself. */
typedef struct {
    Node node; /* `newer` is the oldest, `older` the newest */
    Amount size;
} Queue;

/* -- links */

static inline void
link_up(Node *to)
{
    if (to->linked < MOST_LINKS) {
        to->linked++;
    }
}

static inline void
link_down(Node *to)
{
    if (to->linked < MOST_LINKS && --to->linked == 0 && to->dead) {
        Py_DECREF(to); /* it has no contents: runs no code of the user's */
    }
}

static inline void
set_link(Node **link, Node *to)
{
    Node *old = *link;
    if (to != NULL) {
        link_up(to);
    }
    *link = to;
    if (old != NULL) {
        link_down(old);
    }
}

/* Whether a node hangs in a ring that is whole where it hangs. */
static inline int
hangs(const Node *node)
{
    return node->older != NULL && node->newer != NULL && node->older->newer == node && node->newer->older == node;
}

/* Take a node out that hangs(). */
static inline void
unhang(Node *node)
{
    Node *older = node->older, *newer = node->newer;
    older->newer = newer;
    newer->older = older;
    node->older = node->newer = NULL;
    if (node->linked < MOST_LINKS) {
        node->linked -= 2;
    }
}

/* Hang a node without links in as the newest of a queue that hangs() (a queue hangs in itself). */
static inline void
hang_newest(Node *queue, Node *node)
{
    Node *newest = queue->older;
    node->older = newest;
    node->newer = queue;
    newest->newer = queue->older = node;
    if (node->linked < MOST_LINKS) {
        node->linked = node->linked < MOST_LINKS - 2 ? node->linked + 2 : MOST_LINKS;
    }
}

/* Give up the links of a node, and have no neighbour link to it. */
static void
take_links_back(Node *node)
{
    Node *older = node->older, *newer = node->newer;
    if (hangs(node)) {
        unhang(node);
        return;
    }
    if (older != NULL && older->newer == node) {
        set_link(&older->newer, newer == node ? NULL : newer);
    }
    if (newer != NULL && newer->older == node) {
        set_link(&newer->older, older == node ? NULL : older);
    }
    set_link(&node->older, NULL);
    set_link(&node->newer, NULL);
}

/* -- marks and times */

static inline PyObject *
mark_object(const Node *node)
{
    return node->mark_kind == MARK_OBJECT ? (PyObject *)((intptr_t)node->mark * 8) : NULL;
}

static inline void
set_mark(Node *node, int64_t mark)
{
    PyObject *old = mark_object(node);
    node->mark = mark;
    node->mark_kind = MARK_INT;
    Py_XDECREF(old);
}

static inline int64_t
time_of(const Node *node)
{
    return node->time == TIME_NEVER ? NEVER : (int64_t)node->time - 1;
}

static inline void
set_time(Node *node, int64_t time)
{
    node->time = time < (int64_t)TIME_NEVER - 1 ? (uint64_t)(time + 1) : TIME_NEVER;
}

/* Hits of an entry that the figures of its store do not have yet. */
static inline uint64_t
entry_uncounted(const Entry *entry)
{
    return (entry->node.hits - entry->node.counted) & (((uint64_t)1 << 40) - 1);
}

/* -- what a node holds */

/* Whether the collector may know what an object holds; of a tuple it may have found that there is nothing. */
static inline int
is_heavy(PyObject *object)
{
    return object != NULL && PyObject_IS_GC(object) && (!PyTuple_CheckExact(object) || PyObject_GC_IsTracked(object));
}

static inline void
note_weight(State *state, Node *node, PyObject *held)
{
    if (!node->heavy && is_heavy(held) && !PyType_IS_GC(Py_TYPE(node))) {
        node->heavy = 1;
        state->heavy++;
    }
}

/* Set the value of an entry, which has none; a new reference is made. */
static inline void
entry_set_value(State *state, Entry *entry, PyObject *value)
{
    entry->value = Py_NewRef(value);
    note_weight(state, &entry->node, value);
}

/* Set the key of a node, which has none; a new reference is made. */
static inline void
node_set_key(State *state, Node *node, PyObject *key)
{
    node->key = Py_NewRef(key);
    node->heavy_key |= is_heavy(key);
    note_weight(state, node, key);
}

/* A new entry, tracked by the collector or not, that was not hit yet. */
static PyObject *
entry_new(State *state, int tracked, PyObject *value, double stored, double deadline)
{
    PyTypeObject *type = tracked ? state->TrackedEntry : state->Entry;
    Entry *entry = tracked ? NULL : (Entry *)state->dead_entries;
    if (entry != NULL) {
        state->dead_entries = entry->node.older;
        state->dead_entries_count--;
        entry->node.older = NULL; /* as all else that it had */
        Py_INCREF(type);
        _Py_NewReference((PyObject *)entry);
    }
    else {
        entry = (Entry *)type->tp_alloc(type, 0);
    }
    if (entry != NULL) {
        entry->node.is_entry = 1;
        entry->stored = stored;
        entry->deadline = deadline;
        entry_set_value(state, entry, value);
    }
    return (PyObject *)entry;
}

static inline int
is_entry(State *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->Entry) || Py_IS_TYPE(object, state->TrackedEntry)
        || PyType_IsSubtype(Py_TYPE(object), state->Entry);
}

static PyObject *
node_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return type->tp_alloc(type, 0);
}

static PyObject *
entry_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Node *node = (Node *)type->tp_alloc(type, 0);
    if (node != NULL) {
        node->is_entry = 1;
    }
    return (PyObject *)node;
}

static void node_dealloc(PyObject *self);

/* Give up what a node holds: all of it at the end, when it holds nothing any more. */
static void
node_empty(Node *node)
{
    PyObject *key = node->key, *mark = mark_object(node), *value = NULL;
    node->key = NULL;
    node->mark_kind = MARK_NONE;
    if (node->is_entry) {
        value = ((Entry *)node)->value;
        ((Entry *)node)->value = NULL;
    }
    if (node->heavy) {
        State *state = state_of(Py_TYPE(node));
        node->heavy = 0;
        if (state == NULL) {
            PyErr_Clear();
        }
        else {
            state->heavy--;
        }
    }
    Py_XDECREF(mark);
    Py_XDECREF(key);
    Py_XDECREF(value);
}

/* What keeps the memory of a dead node of that type; NULL: it goes. */
static inline State *
entries_kept_by(PyTypeObject *type)
{
    PyObject *module = ((PyHeapTypeObject *)type)->ht_module; /* of a type of this module, or one that Python derived */
    State *state = module == NULL || type->tp_dealloc != node_dealloc ? NULL : PyModule_GetState(module);
    return state != NULL && type == state->Entry && !state->is_over && state->dead_entries_count < MOST_DEAD ? state : NULL;
}

static void
node_dealloc(PyObject *self)
{
    Node *node = (Node *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (PyType_IS_GC(type)) {
        PyObject_GC_UnTrack(self);
    }
    if (node->older != NULL || node->newer != NULL) {
        take_links_back(node);
    }
    node_empty(node);
    if (node->linked) {
        node->dead = 1;
        Py_SET_REFCNT(self, 1);
        return;
    }
    State *state = entries_kept_by(type);
    if (state != NULL) {
        memset((char *)self + sizeof(PyObject), 0, sizeof(Entry) - sizeof(PyObject));
        node->older = state->dead_entries;
        state->dead_entries = node;
        state->dead_entries_count++;
    }
    else {
        type->tp_free(self);
    }
    Py_DECREF(type);
}

static int
tracked_traverse(PyObject *self, visitproc visit, void *arg)
{
    Node *node = (Node *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(node->key);
    Py_VISIT(mark_object(node));
    if (node->is_entry) {
        Py_VISIT(((Entry *)node)->value);
    }
    return 0;
}

static int
tracked_clear(PyObject *self)
{
    node_empty((Node *)self);
    return 0;
}

/* -- attributes */

static PyObject *
missing(const char *name)
{
    PyErr_SetString(PyExc_AttributeError, name);
    return NULL;
}

static PyObject *
node_get_link(PyObject *self, void *newer)
{
    Node *link = newer ? ((Node *)self)->newer : ((Node *)self)->older;
    return link == NULL ? missing(newer ? "newer" : "older") : Py_NewRef((PyObject *)link);
}

static int
node_set_link(PyObject *self, PyObject *value, void *newer)
{
    Node **link = newer ? &((Node *)self)->newer : &((Node *)self)->older;
    if (value == NULL || value == Py_None) {
        if (*link == NULL && value == NULL) {
            missing(newer ? "newer" : "older");
            return -1;
        }
        set_link(link, NULL);
        return 0;
    }
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return -1;
    }
    if (!PyObject_TypeCheck(value, state->Node)) {
        PyErr_Format(PyExc_TypeError, "a node is linked to nodes, not to '%.100s'", Py_TYPE(value)->tp_name);
        return -1;
    }
    set_link(link, (Node *)value);
    return 0;
}

static PyObject *
node_get_key(PyObject *self, void *closure)
{
    PyObject *key = ((Node *)self)->key;
    return key == NULL ? missing("key") : Py_NewRef(key);
}

static int
node_set_key_attribute(PyObject *self, PyObject *value, void *closure)
{
    Node *node = (Node *)self;
    PyObject *old = node->key;
    State *state = state_of(Py_TYPE(self));
    if (value == NULL && old == NULL) {
        missing("key");
        return -1;
    }
    if (state == NULL) {
        return -1;
    }
    node->key = Py_XNewRef(value);
    node->heavy_key |= is_heavy(value);
    note_weight(state, node, value);
    Py_XDECREF(old);
    return 0;
}

static PyObject *
entry_get_value(PyObject *self, void *closure)
{
    PyObject *value = ((Entry *)self)->value;
    return value == NULL ? missing("value") : Py_NewRef(value);
}

static int
entry_set_value_attribute(PyObject *self, PyObject *value, void *closure)
{
    Entry *entry = (Entry *)self;
    PyObject *old = entry->value;
    State *state = state_of(Py_TYPE(self));
    if (value == NULL && old == NULL) {
        missing("value");
        return -1;
    }
    if (state == NULL) {
        return -1;
    }
    entry->value = Py_XNewRef(value);
    note_weight(state, &entry->node, value);
    Py_XDECREF(old);
    return 0;
}

static PyObject *
node_get_hits(PyObject *self, void *closure)
{
    return PyLong_FromLongLong((long long)((Node *)self)->hits);
}

/* A whole number from 0 to `most`; -1 with an error set. */
static int64_t
read_count(PyObject *value, int64_t most, const char *name)
{
    if (value == NULL) {
        missing(name);
        return -1;
    }
    long long count = PyLong_AsLongLong(value);
    if (count == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (count < 0 || count > most) {
        PyErr_Format(PyExc_OverflowError, "%s of a node are a count below 2**48, not %lld", name, count);
        return -1;
    }
    return count;
}

static int
node_set_hits(PyObject *self, PyObject *value, void *closure)
{
    int64_t hits = read_count(value, MOST_HITS, "hits");
    if (hits < 0) {
        return -1;
    }
    ((Node *)self)->hits = (uint64_t)hits;
    return 0;
}

static PyObject *
entry_get_counted(PyObject *self, void *closure)
{
    return PyLong_FromLongLong((long long)(((Node *)self)->hits - entry_uncounted((Entry *)self)));
}

static int
entry_set_counted(PyObject *self, PyObject *value, void *closure)
{
    int64_t counted = read_count(value, MOST_HITS, "counted");
    if (counted < 0) {
        return -1;
    }
    ((Node *)self)->counted = (uint64_t)counted;
    return 0;
}

static PyObject *
node_get_mark(PyObject *self, void *closure)
{
    Node *node = (Node *)self;
    if (node->mark_kind == MARK_NONE) {
        return missing("mark");
    }
    return node->mark_kind == MARK_INT ? PyLong_FromLongLong(node->mark) : Py_NewRef(mark_object(node));
}

static int
node_set_mark(PyObject *self, PyObject *value, void *closure)
{
    Node *node = (Node *)self;
    PyObject *old = mark_object(node);
    if (value == NULL) {
        if (node->mark_kind == MARK_NONE) {
            missing("mark");
            return -1;
        }
        node->mark_kind = MARK_NONE;
    }
    else if (PyLong_CheckExact(value)) {
        long long mark = PyLong_AsLongLong(value);
        if (mark == -1 && PyErr_Occurred()) {
            return -1;
        }
        if (mark > MOST_MARK || mark < -MOST_MARK) {
            PyErr_Format(PyExc_OverflowError, "the mark of a node is below 2**53, not %lld", mark);
            return -1;
        }
        node->mark = mark;
        node->mark_kind = MARK_INT;
    }
    else {
        node->mark = (intptr_t)Py_NewRef(value) / 8;
        node->mark_kind = MARK_OBJECT;
    }
    Py_XDECREF(old);
    return 0;
}

static PyObject *
node_get_time(PyObject *self, void *closure)
{
    Node *node = (Node *)self;
    return node->time == 0 ? missing("time") : PyLong_FromLongLong(time_of(node));
}

static int
node_set_time(PyObject *self, PyObject *value, void *closure)
{
    int64_t time = read_count(value, INT64_MAX, "time");
    if (time < 0) {
        return -1;
    }
    set_time((Node *)self, time);
    return 0;
}

static PyGetSetDef node_getset[] = {
    {"key", node_get_key, node_set_key_attribute, NULL, NULL},
    {"hits", node_get_hits, node_set_hits, NULL, NULL},
    {"mark", node_get_mark, node_set_mark, NULL, NULL},
    {"time", node_get_time, node_set_time, NULL, NULL},
    {"older", node_get_link, node_set_link, NULL, NULL},
    {"newer", node_get_link, node_set_link, NULL, (void *)1},
    {NULL},
};

static PyGetSetDef entry_getset[] = {
    {"value", entry_get_value, entry_set_value_attribute, NULL, NULL},
    {"counted", entry_get_counted, entry_set_counted, NULL, NULL},
    {NULL},
};

static PyMemberDef entry_members[] = {
    {"deadline", T_DOUBLE, offsetof(Entry, deadline), 0, NULL},
    {"stored", T_DOUBLE, offsetof(Entry, stored), 0, NULL},
    {NULL},
};

/* What a pickle or a copy of an entry takes along: all that is set, but for its links and where its value belongs, as the
 * classes in Python have it. */
static PyObject *
entry_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *copyreg = PyImport_ImportModule("copyreg");
    PyObject *names = copyreg == NULL ? NULL : PyObject_CallMethod(copyreg, "_slotnames", "O", Py_TYPE(self));
    Py_XDECREF(copyreg);
    PyObject *state = names == NULL ? NULL : PyDict_New();
    if (state == NULL || !PyList_Check(names)) {
        goto failed;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "newer") == 0 || PyUnicode_CompareWithASCIIString(name, "older") == 0
            || PyUnicode_CompareWithASCIIString(name, "loop") == 0
            || (PyUnicode_CompareWithASCIIString(name, "mark") == 0 && ((Node *)self)->mark_kind == MARK_OBJECT)) {
            continue;
        }
        PyObject *value = PyObject_GetAttr(self, name);
        if (value == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
                goto failed;
            }
            PyErr_Clear();
            continue;
        }
        int set = PyDict_SetItem(state, name, value);
        Py_DECREF(value);
        if (set < 0) {
            goto failed;
        }
    }
    Py_DECREF(names);
    return Py_BuildValue("(ON)", Py_None, state);
failed:
    Py_XDECREF(names);
    Py_XDECREF(state);
    return NULL;
}

/* serves(now) or serves(): whether the entry is fresh at that time, or at any; then a hit is counted.  A wrapper in
 * Python that did that by attributes would make an object of each number. */
static PyObject *
entry_serves(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Entry *entry = (Entry *)self;
    if (count > 1) {
        PyErr_SetString(PyExc_TypeError, "serves() takes a time, or nothing");
        return NULL;
    }
    if (count == 1) {
        double now = PyFloat_AsDouble(args[0]);
        if (now == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
        if (!(now < entry->deadline)) {
            Py_RETURN_FALSE;
        }
    }
    entry->node.hits++;
    Py_RETURN_TRUE;
}

static PyMethodDef entry_methods[] = {
    {"serves", (PyCFunction)(void (*)(void))entry_serves, METH_FASTCALL, "Whether it is fresh; then a hit is counted."},
    {"__getstate__", entry_getstate, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot node_slots[] = {
    {Py_tp_new, node_make}, {Py_tp_dealloc, node_dealloc}, {Py_tp_getset, node_getset}, {0, NULL},
};
static PyType_Slot mark_slots[] = {
    {Py_tp_new, node_make}, {Py_tp_dealloc, node_dealloc}, {Py_tp_traverse, tracked_traverse},
    {Py_tp_clear, tracked_clear}, {0, NULL},
};
static PyType_Slot entry_slots[] = {
    {Py_tp_new, entry_make}, {Py_tp_dealloc, node_dealloc}, {Py_tp_getset, entry_getset},
    {Py_tp_members, entry_members}, {Py_tp_methods, entry_methods}, {0, NULL},
};
static PyType_Slot tracked_entry_slots[] = {
    {Py_tp_new, entry_make}, {Py_tp_dealloc, node_dealloc}, {Py_tp_traverse, tracked_traverse},
    {Py_tp_clear, tracked_clear}, {0, NULL},
};

/* Names as in Python, where there is a class of that name: a pickle that one path made is read by the other. */
static PyType_Spec node_spec = {
    "memo._native._speed.Node", sizeof(Node), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, node_slots,
};
static PyType_Spec mark_spec = {
    "memo._native._speed.Mark", sizeof(Node), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    mark_slots,
};
static PyType_Spec entry_spec = {
    "memo._store.entries.Entry", sizeof(Entry), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, entry_slots,
};
static PyType_Spec tracked_entry_spec = {
    "memo._store.entries.TrackedEntry", sizeof(Entry), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, tracked_entry_slots,
};

/* -- queues */

static PyObject *
amount_get(const Amount *amount)
{
    return amount->other == NULL ? PyLong_FromLongLong(amount->n) : Py_NewRef(amount->other);
}

static int
amount_set(Amount *amount, PyObject *value, const char *name)
{
    PyObject *old = amount->other;
    if (value == NULL) {
        missing(name);
        return -1;
    }
    int overflow = 1;
    long long n = PyLong_CheckExact(value) ? PyLong_AsLongLongAndOverflow(value, &overflow) : 0;
    amount->n = overflow ? 0 : n;
    amount->other = overflow ? Py_NewRef(value) : NULL;
    Py_XDECREF(old);
    return 0;
}

static PyObject *
queue_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Queue *queue = (Queue *)type->tp_alloc(type, 0);
    if (queue != NULL) {
        queue->node.older = queue->node.newer = &queue->node;
        queue->node.linked = 2;
        queue->node.mark_kind = MARK_INT;
        queue->node.time = TIME_NEVER;
        node_set_key(NULL, &queue->node, Py_None);
    }
    return (PyObject *)queue;
}

/* The next node after `node` in a queue, NULL at its end, or where the ring is torn.  It ends: as long as each node is
 * its newer neighbour's older one, none is met twice. */
static inline Node *
next_in(const Queue *queue, const Node *node)
{
    Node *newer = node->newer;
    return newer == NULL || newer == &queue->node || newer->older != node ? NULL : newer;
}

/* Whether a queue visits for a node: it is not the collector's, it holds what is, and the index alone owns it. */
static inline int
is_visited_for(const Node *node)
{
    return node->heavy && Py_REFCNT(node) == 1;
}

static int
queue_traverse(PyObject *self, visitproc visit, void *arg)
{
    Queue *queue = (Queue *)self;
    tracked_traverse(self, visit, arg);
    Py_VISIT(queue->size.other);
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (state->heavy == 0) {
        return 0;
    }
    for (Node *node = next_in(queue, &queue->node); node != NULL; node = next_in(queue, node)) {
        if (is_visited_for(node)) {
            PyObject *value = node->is_entry ? ((Entry *)node)->value : NULL;
            if (node->heavy_key && is_heavy(node->key)) {
                Py_VISIT(node->key);
            }
            else {
                node->heavy_key = 0;
                if (!is_heavy(value)) {
                    node->heavy = 0;
                    state->heavy--;
                    continue;
                }
            }
            Py_VISIT(value);
        }
    }
    return 0;
}

/* Break the cycles that go through entries: their values go together, after all entries have lost theirs. */
static int
queue_clear(PyObject *self)
{
    Queue *queue = (Queue *)self;
    PyObject *values = PyList_New(0);
    if (values == NULL) {
        PyErr_Clear();
        return 0;
    }
    for (Node *node = next_in(queue, &queue->node); node != NULL; node = next_in(queue, node)) {
        Entry *entry = (Entry *)node;
        if (is_visited_for(node) && node->is_entry && entry->value != NULL) {
            if (PyList_Append(values, entry->value) < 0) {
                PyErr_Clear();
                break;
            }
            Py_DECREF(entry->value); /* not the last: the list has it */
            entry->value = NULL;
        }
    }
    Py_DECREF(values);
    return 0;
}

static void
queue_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Queue *)self)->size.other);
    node_dealloc(self);
}

static PyObject *
queue_get_size(PyObject *self, void *closure)
{
    return amount_get(&((Queue *)self)->size);
}

static int
queue_set_size(PyObject *self, PyObject *value, void *closure)
{
    return amount_set(&((Queue *)self)->size, value, "size");
}

static PyGetSetDef queue_getset[] = {
    {"size", queue_get_size, queue_set_size, NULL, NULL},
    {NULL},
};
static PyType_Slot queue_slots[] = {
    {Py_tp_new, queue_make}, {Py_tp_dealloc, queue_dealloc}, {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear}, {Py_tp_getset, queue_getset}, {0, NULL},
};
static PyType_Spec queue_spec = {
    "memo._native._speed.Queue", sizeof(Queue), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    queue_slots,
};

#define LINE 64 /* bytes of a line of the processor's caches */

/* Have a line read from memory, if it may be read at all, while the code goes on. */
#ifdef __GNUC__
#  define FETCH(address) __builtin_prefetch((const void *)(address))
#else
#  define FETCH(address) (void)(address)
#endif

/* -- what is remembered of keys that left: memo/_rings/ghost.py says how, and decides the same
 *
 * A table is an array of segments, each made when it is first written to.  A Ghost owns its tables.
 *
 * A bucket has its fingerprints newest first, and their stamps behind them: half a line of the processor's caches, or a
 * whole one.  So to look for a key, or to remember one, reads memory in one place.  Python keeps a ring, and apart from it
 * which place is the next; to move seven numbers within a line costs less than to read that.
 */

#define GHOST_MARKS 4294967291LL
#define GHOST_BUCKETS 1024
#define GHOST_SLOTS 8
#define GHOST_MOVED 2
#define GHOST_SLACK 16

typedef struct {
    void *block;       /* NULL: nothing was written yet; else the memory that the buckets lie in: */
    size_t mapped;     /* so many bytes that are mapped; 0: a block of the heap */
    uint32_t *buckets; /* of each GHOST_SLOTS fingerprints (0: a free place), then as many stamps, where there are any */
} Segment;

typedef struct {
    int64_t buckets; /* 0: there is no table */
    Segment *segments;
} Table;

typedef struct {
    PyObject_HEAD
    Table table, old;
    int64_t moved; /* how many buckets of the old table were moved */
    char stamped;
} Ghost;

static inline uint32_t
fingerprint(Py_hash_t hash)
{
    int64_t mark = (int64_t)hash % GHOST_MARKS;
    return (uint32_t)((mark < 0 ? mark + GHOST_MARKS : mark) + 1);
}

static inline int64_t
segments_of(const Table *table)
{
    return table->buckets == 0 ? 0 : 1 + (table->buckets - 1) / GHOST_BUCKETS;
}

/* Memory that is mapped by itself, all zeros, so that it goes back to the system by itself.  What the C library's heap has
 * goes back when the last block at its end is freed, and takes all that was freed before along: 160 MB, however patiently
 * they were freed, held all threads up for 24 ms. */
static void *
map_zeros(size_t size)
{
    PyObjectArenaAllocator arenas;
    PyObject_GetArenaAllocator(&arenas); /* which maps on all systems, but need not, nor clear what it has */
    void *block = arenas.alloc(arenas.ctx, size);
    if (block != NULL) {
        PyTraceMalloc_Track(0, (uintptr_t)block, size); /* as all other memory; it fails where nobody traces */
        memset(block, 0, size);
    }
    return block;
}

/* Free a block, of which so many bytes are mapped, or else none. */
static void
block_free(void *block, size_t mapped)
{
    if (mapped == 0) {
        PyMem_RawFree(block);
        return;
    }
    PyObjectArenaAllocator arenas;
    PyObject_GetArenaAllocator(&arenas);
    PyTraceMalloc_Untrack(0, (uintptr_t)block);
    arenas.free(arenas.ctx, block, mapped);
}

static void
segment_free(Segment *segment)
{
    if (segment->block != NULL) {
        block_free(segment->block, segment->mapped);
        segment->block = NULL;
    }
}

static void
table_free(Table *table)
{
    for (int64_t i = 0; i < segments_of(table); i++) {
        segment_free(&table->segments[i]);
    }
    PyMem_RawFree(table->segments);
    table->segments = NULL;
    table->buckets = 0;
}

/* Make an empty table of about so many places.  -1 without an error set: there is no memory. */
static int
table_make(Table *table, int64_t capacity)
{
    Table made = {(capacity + 4) / GHOST_SLOTS | 1, NULL};
    while (made.buckets > 7 && !(made.buckets % 3 && made.buckets % 5 && made.buckets % 7)) {
        made.buckets += 2; /* so that keys at regular distances spread over all of them */
    }
    made.segments = PyMem_RawCalloc((size_t)segments_of(&made), sizeof(Segment));
    if (made.segments == NULL) {
        return -1;
    }
    *table = made;
    return 0;
}

/* How many numbers a bucket has. */
static inline int
bucket_width(const Ghost *ghost)
{
    return ghost->stamped ? 2 * GHOST_SLOTS : GHOST_SLOTS;
}

/* Whether a segment has all buckets that one may have, as all but the last one. */
static inline int
is_full_segment(const Table *table, int64_t number)
{
    return table->buckets / GHOST_BUCKETS > number;
}

/* Bytes of the block of a segment: its buckets, and, in the heap, what moves them to the beginning of a line. */
static size_t
block_size(const Ghost *ghost, const Table *table, int64_t number)
{
    size_t bucket = (size_t)bucket_width(ghost) * sizeof(uint32_t);
    return is_full_segment(table, number) ? GHOST_BUCKETS * bucket
                                          : (size_t)(table->buckets % GHOST_BUCKETS) * bucket + LINE - 1;
}

/* Make the block of a segment, mapped if it is a full one, of 32 or 64 KB; a smaller one would waste most of a page. */
static void
segment_make(const Ghost *ghost, const Table *table, int64_t number)
{
    Segment *segment = &table->segments[number];
    size_t size = block_size(ghost, table, number);
    if (is_full_segment(table, number)) {
        segment->mapped = size;
        segment->block = map_zeros(size);
        segment->buckets = segment->block;
    }
    else {
        segment->mapped = 0;
        segment->block = PyMem_RawCalloc(1, size);
        segment->buckets = (uint32_t *)(((uintptr_t)segment->block + LINE - 1) & ~(uintptr_t)(LINE - 1));
    }
}

/* A bucket that something may have been written to; NULL: nothing was. */
static inline uint32_t *
bucket_in(const Ghost *ghost, const Table *table, int64_t bucket)
{
    const Segment *segment = &table->segments[bucket / GHOST_BUCKETS];
    return segment->block == NULL ? NULL : segment->buckets + bucket_width(ghost) * (bucket % GHOST_BUCKETS);
}

/* The bucket that a fingerprint names, likewise. */
static inline uint32_t *
bucket_of(const Ghost *ghost, const Table *table, uint32_t mark)
{
    return bucket_in(ghost, table, mark % table->buckets);
}

/* A bucket of the present table, in a segment made for it if need be; NULL: there is no memory. */
static uint32_t *
bucket_made(Ghost *ghost, int64_t bucket)
{
    int64_t number = bucket / GHOST_BUCKETS;
    if (ghost->table.segments[number].block == NULL) {
        segment_make(ghost, &ghost->table, number);
    }
    return bucket_in(ghost, &ghost->table, bucket);
}

/* Write a number before others, of which the last one goes. */
static inline void
push(uint32_t *numbers, uint32_t number)
{
    uint64_t pairs[GHOST_SLOTS / 2 - 1];
    uint32_t last = numbers[GHOST_SLOTS - 2];
    memcpy(pairs, numbers, sizeof(pairs));
    memcpy(numbers + 1, pairs, sizeof(pairs));
    numbers[0] = number;
    numbers[GHOST_SLOTS - 1] = last;
}

static inline void
bucket_put(const Ghost *ghost, uint32_t *bucket, uint32_t mark, uint32_t stamp)
{
    push(bucket, mark);
    if (ghost->stamped) {
        push(bucket + GHOST_SLOTS, stamp);
    }
}

static void
ghost_put(Ghost *ghost, uint32_t mark, uint32_t stamp)
{
    uint32_t *bucket = bucket_made(ghost, mark % ghost->table.buckets);
    if (bucket != NULL) { /* else it is not remembered, which costs a little of the hit ratio */
        bucket_put(ghost, bucket, mark, stamp);
    }
}

static void
ghost_fit(Ghost *ghost, int64_t capacity)
{
    int64_t most = GHOST_SLOTS * ghost->table.buckets;
    Table made;
    if (ghost->old.buckets == 0
        && (capacity > most + most / GHOST_SLACK + 4 || capacity + capacity / 2 + 48 < most)
        && table_make(&made, capacity) == 0) {
        ghost->moved = 0;
        ghost->old = ghost->table;
        ghost->table = made;
    }
}

/* Move some buckets of the old table into the present one. */
static void
ghost_move(Ghost *ghost)
{
    Table *old = &ghost->old;
    int64_t first = ghost->moved, last = first + GHOST_MOVED < old->buckets ? first + GHOST_MOVED : old->buckets;
    ghost->moved = last;
    for (int64_t number = first; number < last; number++) {
        const uint32_t *bucket = bucket_in(ghost, old, number);
        for (int i = GHOST_SLOTS - 1; bucket != NULL && i >= 0; i--) { /* oldest first */
            if (bucket[i]) {
                ghost_put(ghost, bucket[i], ghost->stamped ? bucket[GHOST_SLOTS + i] : 0);
            }
        }
        if (number % GHOST_BUCKETS == GHOST_BUCKETS - 1) { /* let go of it now: all at once would take long */
            segment_free(&old->segments[number / GHOST_BUCKETS]);
        }
    }
    if (last == old->buckets) {
        table_free(old);
    }
}

static void
ghost_add(Ghost *ghost, Py_hash_t hash, int64_t capacity, int64_t stamp)
{
    int64_t places = GHOST_SLOTS * ghost->table.buckets;
    if (ghost->old.buckets) {
        ghost_move(ghost);
    }
    else if (!(capacity <= places && places <= capacity + capacity / 2)) {
        ghost_fit(ghost, capacity);
    }
    ghost_put(ghost, fingerprint(hash), (uint32_t)stamp);
}

/* The stamp of a fingerprint, which is no longer there, of several the newest; -1: there is none. */
static int64_t
table_take(const Ghost *ghost, const Table *table, uint32_t mark)
{
    uint32_t *bucket = bucket_of(ghost, table, mark);
    for (int i = 0; bucket != NULL && i < GHOST_SLOTS; i++) {
        if (bucket[i] == mark) {
            bucket[i] = 0;
            return ghost->stamped ? bucket[GHOST_SLOTS + i] : 0;
        }
    }
    return -1;
}

/* The stamp of a key, which is no longer remembered; -1 if it is not. */
static int64_t
ghost_recall(Ghost *ghost, Py_hash_t hash)
{
    uint32_t mark = fingerprint(hash);
    int64_t stamp = table_take(ghost, &ghost->table, mark);
    if (stamp < 0 && ghost->old.buckets && mark % ghost->old.buckets >= ghost->moved) {
        stamp = table_take(ghost, &ghost->old, mark);
    }
    return stamp;
}

/* Remember a key that a policy evicts by the short way of its exchange(), which does not look at the table's size. */
static void
ghost_add_shortly(Ghost *ghost, Py_hash_t hash, int64_t capacity, int64_t stamp)
{
    uint32_t mark = fingerprint(hash);
    uint32_t *bucket = ghost->old.buckets ? NULL : bucket_of(ghost, &ghost->table, mark);
    if (bucket == NULL) {
        ghost_add(ghost, hash, capacity, stamp);
    }
    else {
        bucket_put(ghost, bucket, mark, (uint32_t)stamp);
    }
}

static PyObject *
ghost_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"stamped", NULL};
    int stamped = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p", names, &stamped)) {
        return NULL;
    }
    Ghost *ghost = (Ghost *)type->tp_alloc(type, 0);
    if (ghost != NULL) {
        ghost->stamped = (char)stamped;
        if (table_make(&ghost->table, 1) < 0) {
            Py_DECREF(ghost);
            return PyErr_NoMemory();
        }
    }
    return (PyObject *)ghost;
}

static void
ghost_dealloc(PyObject *self)
{
    Ghost *ghost = (Ghost *)self;
    PyTypeObject *type = Py_TYPE(self);
    table_free(&ghost->table);
    table_free(&ghost->old);
    type->tp_free(self);
    Py_DECREF(type);
}

static void
free_remains(PyObject *capsule)
{
    block_free(PyCapsule_GetPointer(capsule, NULL), (size_t)PyCapsule_GetContext(capsule));
}

/* Forget everything; returns a list of what is to be freed, a bit at a time by whoever has patience. */
static PyObject *
ghost_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Ghost *ghost = (Ghost *)self;
    Table made, *tables[] = {&ghost->table, &ghost->old};
    PyObject *remains = PyList_New(0);
    if (remains == NULL) {
        return NULL;
    }
    if (table_make(&made, 1) < 0) {
        Py_DECREF(remains);
        return PyErr_NoMemory();
    }
    for (int t = 0; t < 2; t++) {
        for (int64_t i = 0; i < segments_of(tables[t]); i++) {
            Segment *segment = &tables[t]->segments[i];
            PyObject *capsule = segment->block == NULL ? NULL : PyCapsule_New(segment->block, NULL, NULL);
            if (capsule == NULL) {
                PyErr_Clear();
                continue; /* it is freed below, at once */
            }
            PyCapsule_SetContext(capsule, (void *)segment->mapped);
            PyCapsule_SetDestructor(capsule, free_remains);
            segment->block = NULL;
            if (PyList_Append(remains, capsule) < 0) {
                PyErr_Clear();
            }
            Py_DECREF(capsule);
        }
        table_free(tables[t]);
    }
    ghost->table = made;
    ghost->moved = 0;
    return remains;
}

/* The same, as a list of such lists: see EntryPolicy.remains(). */
static PyObject *
ghost_heaps(PyObject *self, PyObject *ignored)
{
    PyObject *remains = ghost_clear(self, ignored);
    return remains == NULL ? NULL : Py_BuildValue("[N]", remains);
}

static int64_t
read_capacity(PyObject *capacity)
{
    return PyLong_AsLongLong(capacity);
}

static PyObject *
ghost_fit_method(PyObject *self, PyObject *value)
{
    int64_t capacity = read_capacity(value);
    if (capacity == -1 && PyErr_Occurred()) {
        return NULL;
    }
    ghost_fit((Ghost *)self, capacity);
    Py_RETURN_NONE;
}

static PyObject *
ghost_add_method(PyObject *self, PyObject *args)
{
    PyObject *key;
    long long capacity;
    unsigned long long stamp = 0;
    if (!PyArg_ParseTuple(args, "OL|K", &key, &capacity, &stamp)) {
        return NULL;
    }
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1) {
        return NULL;
    }
    ghost_add((Ghost *)self, hash, capacity, (int64_t)stamp);
    Py_RETURN_NONE;
}

static PyObject *
ghost_recall_method(PyObject *self, PyObject *key)
{
    Py_hash_t hash = PyObject_Hash(key);
    return hash == -1 ? NULL : PyLong_FromLongLong(ghost_recall((Ghost *)self, hash));
}

static PyObject *
ghost_take_method(PyObject *self, PyObject *key)
{
    Py_hash_t hash = PyObject_Hash(key);
    return hash == -1 ? NULL : PyBool_FromLong(ghost_recall((Ghost *)self, hash) >= 0);
}

static PyObject *
table_contents(const Ghost *ghost, const Table *table)
{
    PyObject *found = PyList_New(0);
    for (int64_t number = 0; found != NULL && number < table->buckets; number++) {
        const uint32_t *bucket = bucket_in(ghost, table, number);
        for (int i = GHOST_SLOTS - 1; bucket != NULL && i >= 0; i--) {
            if (bucket[i]) {
                PyObject *row = Py_BuildValue("(LiII)", (long long)number, GHOST_SLOTS - 1 - i, bucket[i],
                                              ghost->stamped ? bucket[GHOST_SLOTS + i] : 0);
                if (row == NULL || PyList_Append(found, row) < 0) {
                    Py_CLEAR(found);
                    bucket = NULL;
                }
                Py_XDECREF(row);
            }
        }
    }
    return found;
}

/* All that it remembers, for tests: buckets, what was moved, and fingerprints with their ages in the bucket (0: would be
 * the first to go), of both tables. */
static PyObject *
ghost_contents(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Ghost *ghost = (Ghost *)self;
    return Py_BuildValue("(LNLLN)", (long long)ghost->table.buckets, table_contents(ghost, &ghost->table),
                         (long long)ghost->old.buckets, (long long)(ghost->old.buckets ? ghost->moved : 0),
                         table_contents(ghost, &ghost->old));
}

static PyObject *
ghost_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Ghost *ghost = (Ghost *)self;
    int64_t size = (int64_t)sizeof(Ghost);
    Table *tables[] = {&ghost->table, &ghost->old};
    for (int t = 0; t < 2; t++) {
        for (int64_t i = 0; i < segments_of(tables[t]); i++) {
            size += (int64_t)sizeof(Segment);
            size += tables[t]->segments[i].block == NULL ? 0 : (int64_t)block_size(ghost, tables[t], i);
        }
    }
    return PyLong_FromLongLong(size);
}

static PyObject *
ghost_get_places(PyObject *self, void *closure)
{
    return PyLong_FromLongLong(GHOST_SLOTS * ((Ghost *)self)->table.buckets);
}

static PyObject *
ghost_get_old(PyObject *self, void *closure)
{
    int64_t buckets = ((Ghost *)self)->old.buckets;
    return buckets ? PyLong_FromLongLong(buckets) : Py_NewRef(Py_None);
}

static PyGetSetDef ghost_getset[] = {
    {"places", ghost_get_places, NULL, NULL, NULL},
    {"old", ghost_get_old, NULL, NULL, NULL},
    {NULL},
};
static PyMethodDef ghost_methods[] = {
    {"clear", ghost_clear, METH_NOARGS, NULL},   {"fit", ghost_fit_method, METH_O, NULL},
    {"add", ghost_add_method, METH_VARARGS, NULL}, {"recall", ghost_recall_method, METH_O, NULL},
    {"take", ghost_take_method, METH_O, NULL},   {"contents", ghost_contents, METH_NOARGS, NULL},
    {"heaps", ghost_heaps, METH_NOARGS, NULL},   {"__sizeof__", ghost_sizeof, METH_NOARGS, NULL}, {NULL},
};
static PyType_Slot ghost_slots[] = {
    {Py_tp_new, ghost_make}, {Py_tp_dealloc, ghost_dealloc}, {Py_tp_methods, ghost_methods},
    {Py_tp_getset, ghost_getset}, {0, NULL},
};
static PyType_Spec ghost_spec = {"memo._native._speed.Ghost", sizeof(Ghost), 0, Py_TPFLAGS_DEFAULT, ghost_slots};

/* -- how large the small queue should be: memo/_rings/share.py says how, and decides the same
 *
 * The markers are links to nodes, which the nodes count as such.
 */

#ifdef __clang__
#  pragma STDC FP_CONTRACT OFF /* so that sums are rounded as Python rounds them */
#elif defined(__GNUC__)
#  pragma GCC push_options
#  pragma GCC optimize("fp-contract=off")
#endif

#define SHARES 8
#define SHARE_START 1
#define SHARE_MEMORY 8
#define SHARE_CARE 0.85
#define SHARE_NEARLY 0.0005
#define SHARE_WORTH 0.001
#define SHARE_SOME 3
#define SHARE_SOON 0.02
#define SHARE_BEATS 64
#define SHARE_LEAST_BEAT 16
#define SHARE_MOST_BEAT 64
#define SHARE_MOST_MOVES 4
#define SHARE_CHOICES 4
#define SHARE_LEAST_WAIT 100

static const double share_parts[SHARES] = {0.01, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 0.98};

typedef struct {
    PyObject_HEAD
    int64_t now, tick, next, halve, since, entries, beat;
    int64_t ages[SHARES];
    double logs[SHARES], early[SHARES], late[SHARES + 1];
    double exits, visits, visited, used, gone, back, misses, soon;
    Node *markers[SHARES]; /* links, the youngest first */
    int marked;            /* how many of them there are */
    int at;
} Share;

static inline int64_t
at_least(int64_t least, int64_t value)
{
    return value < least ? least : value;
}

static void
share_cut_markers(Share *share, int number)
{
    while (share->marked > number) {
        set_link(&share->markers[--share->marked], NULL);
    }
}

static void
share_fit(Share *share, int64_t entries)
{
    share->entries = entries = at_least(1, entries);
    for (int j = 0; j < SHARES; j++) {
        share->ages[j] = at_least(1, (int64_t)((double)entries * share_parts[j]));
        share->logs[j] = log((double)at_least(1, entries - share->ages[j]));
    }
    share->soon = (double)entries;
    int64_t beat = at_least(SHARE_LEAST_BEAT, entries / SHARE_BEATS);
    share->beat = beat < SHARE_MOST_BEAT ? beat : SHARE_MOST_BEAT;
    share->tick = share->now + share->beat;
}

static void
share_begin(Share *share, int64_t entries)
{
    share_fit(share, entries);
    share->since = share->now;
    share->next = share->now + share->entries;
    share->halve = share->now + SHARE_MEMORY * share->entries;
}

/* What the small queue is to have of a whole. */
static inline double
share_most(const Share *share, double whole)
{
    double most = whole * share_parts[share->at];
    return most < 1 ? 1 : most < INFINITY ? floor(most) : most;
}

static void
share_move_markers(Share *share, Queue *small)
{
    int64_t most = SHARE_MOST_MOVES * share->beat;
    share_cut_markers(share, share->at); /* of larger queues than the present one the policy tells itself */
    for (int j = 0; j < share->at; j++) {
        Node *newer = (j < share->marked ? share->markers[j] : &small->node)->newer;
        int64_t born = share->now - share->ages[j];
        if (newer == NULL || newer == &small->node || time_of(newer) > born) {
            continue;
        }
        if (time_of(newer) + most < born) {
            born = time_of(newer) + most; /* a late marker catches up by and by */
        }
        int64_t used = 0;
        while (newer != NULL && newer != &small->node && time_of(newer) <= born) {
            used += newer->hits != 0;
            newer = newer->newer;
        }
        share->early[j] += (double)used;
        if (newer != NULL) {
            set_link(&share->markers[j], newer->older);
            share->marked += j >= share->marked;
        }
    }
}

/* Have no marker stand on a node that is about to leave the small queue. */
static void
share_pass_by(Share *share, Node *node, Queue *small)
{
    if (node->older == &small->node) {
        while (share->marked && share->markers[share->marked - 1] == node) {
            share_cut_markers(share, share->marked - 1);
        }
        return;
    }
    for (int j = 0; j < share->marked; j++) {
        if (share->markers[j] == node) {
            set_link(&share->markers[j], node->older);
        }
    }
}

static void
share_halve(Share *share)
{
    double *counts[] = {&share->exits, &share->used, &share->visited, &share->visits, &share->gone, &share->back};
    share->halve = share->now + SHARE_MEMORY * share->entries;
    share->misses = (share->misses + (double)share->now - (double)share->since) / 2;
    share->since = share->now;
    for (int j = 0; j < SHARES; j++) {
        share->early[j] /= 2;
    }
    for (int j = 0; j <= SHARES; j++) {
        share->late[j] /= 2;
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        *counts[i] /= 2;
    }
}

static double
share_density(const Share *share)
{
    double density = share->visited != 0 ? share->used / share->visited : 0.0;
    if (share->gone >= SHARE_SOME && share->gone > SHARE_SOON * share->visits) {
        double back = share->back / (share->gone * (double)share->entries);
        density = (density + (back < density ? back : density)) / 2;
    }
    return SHARE_CARE * density;
}

static int
share_chosen(const Share *share)
{
    int at = share->at;
    double misses = share->misses + (double)share->now - (double)share->since, density = share_density(share);
    double rest = (double)(share->entries - share->ages[at]), found = 0.0, within = share->exits, best = -INFINITY;
    double earned[SHARES];
    for (int j = 0; j < SHARES; j++) {
        within += share->late[j];
        double used = j < at ? share->early[j] : within;
        if (used > found) {
            found = used;
        }
        double loss = j > at ? rest * (share->logs[at] - share->logs[j]) : (double)(share->ages[j] - share->ages[at]);
        earned[j] = found / misses - density * loss;
        if (earned[j] > best) {
            best = earned[j];
        }
    }
    int first = 0;
    while (earned[first] < best - SHARE_NEARLY) {
        first++;
    }
    return first < at || best > earned[at] + SHARE_WORTH ? first : at;
}

/* Move the markers, and choose a share if it is time: whether that has been chosen. */
static int
share_go_on(Share *share, Queue *small, int64_t entries)
{
    int64_t now = share->now;
    share->tick = now + share->beat;
    if (share->next < 0) {
        return 0;
    }
    share_move_markers(share, small);
    if (now < share->next) {
        return 0;
    }
    if (entries != share->entries) {
        share_fit(share, entries);
    }
    if (now >= share->halve) {
        share_halve(share);
    }
    share->soon = (double)share->entries + share->visited / (share->visits != 0 ? share->visits : 1);
    share->next = now + at_least(SHARE_LEAST_WAIT, entries / SHARE_CHOICES);
    share->at = share_chosen(share);
    return 1;
}

#if defined(__GNUC__) && !defined(__clang__)
#  pragma GCC pop_options
#endif

static PyObject *
share_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Share *share = (Share *)type->tp_alloc(type, 0);
    if (share != NULL) {
        share->at = SHARE_START;
        share->next = share->halve = -1;
        share_fit(share, 0);
    }
    return (PyObject *)share;
}

static void
share_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    share_cut_markers((Share *)self, 0);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
read_number(PyObject *object, const char *name, int64_t *number)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    if (value == NULL) {
        return -1;
    }
    *number = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return *number == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Have the time and the share of another, made in C or in Python, but neither its counts nor its markers. */
static int
share_take_over(Share *share, PyObject *other)
{
    int64_t now, at, entries, next;
    if (read_number(other, "now", &now) < 0 || read_number(other, "_at", &at) < 0
        || read_number(other, "entries", &entries) < 0 || read_number(other, "_next", &next) < 0) {
        return -1;
    }
    if (at < 0 || at >= SHARES) {
        PyErr_Format(PyExc_ValueError, "a share is one of %d, not number %lld", SHARES, (long long)at);
        return -1;
    }
    share->now = now;
    share->at = (int)at;
    share_fit(share, entries);
    if (next >= 0) {
        share_begin(share, entries);
    }
    return 0;
}

static PyObject *
share_resume(PyObject *self, PyObject *other)
{
    return share_take_over((Share *)self, other) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
share_most_method(PyObject *self, PyObject *whole)
{
    double most = PyFloat_AsDouble(whole);
    if (most == -1 && PyErr_Occurred()) {
        return NULL;
    }
    most = share_most((Share *)self, most);
    return most < INFINITY ? PyLong_FromDouble(most) : PyFloat_FromDouble(most);
}

static PyObject *
share_forget_markers(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    share_cut_markers((Share *)self, 0);
    Py_RETURN_NONE;
}

static PyObject *
list_of(const double *numbers, int number)
{
    PyObject *list = PyList_New(number);
    for (int i = 0; list != NULL && i < number; i++) {
        PyObject *item = PyFloat_FromDouble(numbers[i]);
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, item);
    }
    return list;
}

static PyObject *
share_get_counts(PyObject *self, void *late)
{
    Share *share = (Share *)self;
    return late ? list_of(share->late, SHARES + 1) : list_of(share->early, SHARES);
}

static PyObject *
share_get_markers(PyObject *self, void *closure)
{
    Share *share = (Share *)self;
    PyObject *list = PyList_New(share->marked);
    for (int j = 0; list != NULL && j < share->marked; j++) {
        PyList_SET_ITEM(list, j, Py_NewRef((PyObject *)share->markers[j]));
    }
    return list;
}

static PyObject *
share_get_part(PyObject *self, void *closure)
{
    return PyFloat_FromDouble(share_parts[((Share *)self)->at]);
}

#define SHARE_FIELD(name, attribute, type) {attribute, type, offsetof(Share, name), READONLY, NULL}
static PyMemberDef share_members[] = {
    {"now", T_LONGLONG, offsetof(Share, now), 0, NULL},
    SHARE_FIELD(tick, "tick", T_LONGLONG),     SHARE_FIELD(next, "_next", T_LONGLONG),
    SHARE_FIELD(halve, "_halve", T_LONGLONG),  SHARE_FIELD(since, "_since", T_LONGLONG),
    SHARE_FIELD(entries, "entries", T_LONGLONG), SHARE_FIELD(at, "_at", T_INT),
    SHARE_FIELD(exits, "exits", T_DOUBLE),     SHARE_FIELD(visits, "visits", T_DOUBLE),
    SHARE_FIELD(visited, "visited", T_DOUBLE), SHARE_FIELD(used, "used", T_DOUBLE),
    SHARE_FIELD(gone, "gone", T_DOUBLE),       SHARE_FIELD(back, "back", T_DOUBLE),
    SHARE_FIELD(misses, "_misses", T_DOUBLE),  SHARE_FIELD(soon, "soon", T_DOUBLE), {NULL},
};
static PyGetSetDef share_getset[] = {
    {"markers", share_get_markers, NULL, NULL, NULL},
    {"part", share_get_part, NULL, NULL, NULL},
    {"_early", share_get_counts, NULL, NULL, NULL},
    {"late", share_get_counts, NULL, NULL, (void *)1},
    {NULL},
};
static PyMethodDef share_methods[] = {
    {"resume", share_resume, METH_O, NULL}, {"most", share_most_method, METH_O, NULL},
    {"forget_markers", share_forget_markers, METH_NOARGS, NULL},
    {NULL},
};
static PyType_Slot share_slots[] = {
    {Py_tp_new, share_make}, {Py_tp_dealloc, share_dealloc}, {Py_tp_members, share_members},
    {Py_tp_getset, share_getset}, {Py_tp_methods, share_methods}, {0, NULL},
};
static PyType_Spec share_spec = {"memo._native._speed.Share", sizeof(Share), 0, Py_TPFLAGS_DEFAULT, share_slots};

/* -- large tables: what memo/_store/parted.py is in Python, for the index of a large store and all that is as large
 *
 * A LargeTable is a dictionary no change of which takes long, by linear hashing.  Its keys lie in bins; whenever there
 * are too many of them for so many bins, one more bin takes its share of one other, and when there are few, the last
 * bin goes back into that one.  So nothing is ever built anew in one piece but the array of segments, 8 bytes for some
 * 40 keys, which grows by doubling.
 *
 * - Of the keys' hashes, 32 bits by spread(), bin b of n has those that end in the bits of b: as many bits as n - 1 has,
 *   or one less where that would be no bin.  `low` has ones in the bits that all bins have.  A bin has the hashes with it,
 *   so that to move a key calls nothing and looks at nothing else.
 * - A slot is the address of an entry whose key is the key; or that of a Cell, which has key and value, with marks in its
 *   lowest bits.  An entry that belongs to a table under another key lies in a Cell.
 * - Slots of a bin are filled from the first on.  What does not fit is in another bin, of which its last slot is the
 *   address then; a bin that follows another one has two slots filled at least.
 * - Bins lie in segments that the interpreter's own allocator has.  The heap of the C library would give back to the
 *   system what was at its end, however much, and so stop all threads for as long as that takes.
 * - What follows another bin is a block of its own, as large as many small objects are, so that the table keeps it for the
 *   next chain.  Given back, it would be a hole in which the next object of anybody's would lie: values in scattered
 *   memory, which the collector, and whoever goes through them, would take twice as long for.  Those that are too many
 *   for a table that shrinks go with its bins, few at a time; who gets all that a table has gets them, too.
 * - Nothing but a comparison, a hash, and giving up a reference runs code of the user's.  A look-up whose comparison has
 *   changed the table, which its version tells, begins again.  What leaves is given up when the table is whole.
 *
 * Who owns what: a slot owns its entry, or its Cell, which owns key and value.  The key of an entry is the entry's.
 *
 * The collector: entries that it does not know are visited by the queue that they hang in, and not by the table, as they
 * would not be by a dictionary.  `visible` counts what else it may know, so that a table of nothing but those entries is
 * done with at once, however large it is.
 */

#define BIN_SLOTS 5
#define LAST_SLOT (BIN_SLOTS - 1)
#define SEGMENT 512   /* the largest block that the interpreter's own allocator has */
#define SEGMENT_BINS (SEGMENT / LINE - 1)
#define SPLIT_ABOVE 4 /* so many keys are there for a bin, on the average */
#define MERGE_BELOW 2
#define MOST_AGAIN 100 /* keys of a chain that are met again in it */
#define MOST_BINS ((uint64_t)1 << 31)
#define HAS_CELL 1 /* marks of a slot */
#define IS_SEEN 2  /* the collector may know what its Cell has */
#define FEW_SEGMENTS 8
#define FEW_SPARES 8
#define FREED_AT_ONCE 4 /* spare bins that go with a bin, which allows for a quarter of one less */

typedef struct Bin {
    uint32_t hashes[BIN_SLOTS];
    uint16_t filled;  /* slots that have a key */
    uint16_t chained; /* the last slot is the address of another bin */
    uintptr_t slots[BIN_SLOTS];
} Bin;

typedef struct {
    PyObject *key, *value; /* own */
} Cell;

typedef struct {
    PyObject_HEAD
    void **segments; /* NULL where there are no bins */
    size_t room;       /* segments that it has place for */
    uint64_t bins, low;
    Bin *spare; /* bins that are in no chain, and serve again; each has the next in its first slot */
    uint64_t spares, blocks; /* how many of them; and with those that follow others */
    Py_ssize_t size, visible;
    uint64_t version; /* no other table has the same; another one after a key came, left, or was moved */
} LargeTable;

/* Where a key is: in which chain of bins, in which of those, and where there. */
typedef struct {
    Bin *head, *bin;
    int at;
} Spot;

static double number_of(PyObject *module, PyObject *name); /* of section 3 */

static inline uint32_t
spread(Py_hash_t hash)
{
    uint64_t bits = (uint64_t)hash;
    bits = (bits ^ bits >> 32) * 0x9E3779B97F4A7C15u;
    bits = (bits ^ bits >> 32) * 0xD1B54A32D192ED03u;
    return (uint32_t)(bits >> 32);
}

static inline uint32_t
reversed(uint32_t bits)
{
    bits = (bits >> 1 & 0x55555555u) | (bits & 0x55555555u) << 1;
    bits = (bits >> 2 & 0x33333333u) | (bits & 0x33333333u) << 2;
    bits = (bits >> 4 & 0x0F0F0F0Fu) | (bits & 0x0F0F0F0Fu) << 4;
    bits = (bits >> 8 & 0x00FF00FFu) | (bits & 0x00FF00FFu) << 8;
    return bits >> 16 | bits << 16;
}

/* ---- slots */

static inline int
has_cell(uintptr_t slot)
{
    return (int)(slot & HAS_CELL);
}

static inline Cell *
cell_in(uintptr_t slot)
{
    return (Cell *)(slot & ~(uintptr_t)(HAS_CELL | IS_SEEN));
}

static inline Entry *
entry_in(uintptr_t slot)
{
    return (Entry *)slot;
}

/* The key of a slot, borrowed; NULL: of an entry that lost it. */
static inline PyObject *
slot_key(uintptr_t slot)
{
    return has_cell(slot) ? cell_in(slot)->key : entry_in(slot)->node.key;
}

static inline PyObject *
slot_value(uintptr_t slot)
{
    return has_cell(slot) ? cell_in(slot)->value : (PyObject *)entry_in(slot);
}

static inline int
is_visible(uintptr_t slot)
{
    return has_cell(slot) ? (slot & IS_SEEN) != 0 : PyType_IS_GC(Py_TYPE(entry_in(slot)));
}

/* A slot for a key and its value: new references are made.  0: there is no memory. */
static uintptr_t
slot_made(State *state, PyObject *key, PyObject *value)
{
    if (PyObject_TypeCheck(value, state->Entry) && ((Node *)value)->key == key) {
        return (uintptr_t)Py_NewRef(value);
    }
    Cell *cell = PyMem_Malloc(sizeof(Cell));
    if (cell == NULL) {
        return 0;
    }
    *cell = (Cell){Py_NewRef(key), Py_NewRef(value)};
    return (uintptr_t)cell | HAS_CELL | (is_heavy(key) || is_heavy(value) ? IS_SEEN : 0);
}

/* Give a slot up that is in no bin any more. */
static void
slot_drop(uintptr_t slot)
{
    if (!has_cell(slot)) {
        Py_DECREF((PyObject *)entry_in(slot));
        return;
    }
    Cell *cell = cell_in(slot);
    PyObject *key = cell->key, *value = cell->value;
    PyMem_Free(cell);
    Py_DECREF(key);
    Py_DECREF(value);
}

/* ---- chains of bins */

static inline Bin *
bin_after(const Bin *bin)
{
    return bin->chained ? (Bin *)bin->slots[LAST_SLOT] : NULL;
}

static inline void
spare_add(LargeTable *table, Bin *bin)
{
    bin->slots[0] = (uintptr_t)table->spare;
    table->spare = bin;
    table->spares++;
}

/* A bin that was spare, whatever is in it; there is one. */
static Bin *
spare_take(LargeTable *table)
{
    Bin *bin = table->spare;
    table->spare = (Bin *)bin->slots[0];
    table->spares--;
    return bin;
}

/* Have so many bins that are spare at the least.  -1 without an error set: there is no memory. */
static int
spare_make(LargeTable *table, uint64_t least)
{
    while (table->spares < least) {
        Bin *more = PyMem_Malloc(sizeof(Bin));
        if (more == NULL) {
            return -1;
        }
        spare_add(table, more);
        table->blocks++;
    }
    return 0;
}

/* A bin for a chain, empty.  NULL without an error set: there is no memory. */
static Bin *
bin_made(LargeTable *table)
{
    return spare_make(table, 1) < 0 ? NULL : memset(spare_take(table), 0, sizeof(Bin));
}

/* Give back what is spare but for *kept*, and no more than so many. */
static void
spare_free(LargeTable *table, uint64_t kept, uint64_t most)
{
    for (; table->spares > kept && most; most--) {
        PyMem_Free(spare_take(table));
        table->blocks--;
    }
}

/* Put a slot in at the end of a chain, whose last bin is *last* from now on.  -1 without an error set: there is no
 * memory, and nothing has happened. */
static int
chain_put(LargeTable *table, Bin **last, uint32_t hash, uintptr_t slot)
{
    Bin *bin = *last;
    if (bin->filled == BIN_SLOTS) {
        Bin *next = bin_made(table);
        if (next == NULL) {
            return -1;
        }
        next->hashes[0] = bin->hashes[LAST_SLOT];
        next->slots[0] = bin->slots[LAST_SLOT];
        next->filled = 1;
        bin->filled = LAST_SLOT;
        bin->chained = 1;
        bin->slots[LAST_SLOT] = (uintptr_t)next;
        *last = bin = next;
    }
    bin->hashes[bin->filled] = hash;
    bin->slots[bin->filled] = slot;
    bin->filled++;
    return 0;
}

static inline Bin *
chain_end(Bin *bin)
{
    while (bin->chained) {
        bin = bin_after(bin);
    }
    return bin;
}

/* Take the slot at a place out, which another one of its chain fills. */
static void
chain_remove(LargeTable *table, Spot *spot)
{
    Bin *last = spot->head, *before = NULL;
    while (last->chained) {
        before = last;
        last = bin_after(last);
    }
    last->filled--;
    spot->bin->hashes[spot->at] = last->hashes[last->filled];
    spot->bin->slots[spot->at] = last->slots[last->filled];
    if (before != NULL && last->filled == 1) {
        before->chained = 0;
        before->filled = BIN_SLOTS;
        before->hashes[LAST_SLOT] = last->hashes[0];
        before->slots[LAST_SLOT] = last->slots[0];
        spare_add(table, last);
    }
}

/* ---- bins */

static inline uint64_t
bin_number(const LargeTable *table, uint32_t hash)
{
    uint64_t number = hash & (table->low << 1 | 1);
    return number < table->bins ? number : number & table->low;
}

static inline Bin *
bin_at(const LargeTable *table, uint64_t number)
{
    uintptr_t segment = (uintptr_t)table->segments[number / SEGMENT_BINS] + LINE - 1;
    return (Bin *)(segment - segment % LINE) + number % SEGMENT_BINS;
}

/* How many bits all hashes of a bin share. */
static int
bin_bits(const LargeTable *table, uint64_t number)
{
    int bits = 0;
    while (table->low >> bits) {
        bits++;
    }
    return bits + (number > table->low || number + table->low + 1 < table->bins);
}

/* Have one more bin, which is empty.  -1 without an error set: there is no memory. */
static int
bin_add(LargeTable *table)
{
    size_t segment = (size_t)(table->bins / SEGMENT_BINS);
    if (table->bins % SEGMENT_BINS == 0) {
        if (segment == table->room) {
            size_t room = table->room ? 2 * table->room : FEW_SEGMENTS;
            void **segments = PyMem_RawRealloc(table->segments, room * sizeof(void *));
            if (segments == NULL) {
                return -1;
            }
            table->segments = segments;
            table->room = room;
        }
        table->segments[segment] = PyMem_Calloc(1, SEGMENT);
        if (table->segments[segment] == NULL) {
            return -1;
        }
    }
    table->bins++;
    if (table->bins == 2 * (table->low + 1)) {
        table->low = table->low << 1 | 1;
    }
    return 0;
}

/* Have one bin less, of several: the last, in which nothing is any more. */
static void
bin_remove(LargeTable *table)
{
    table->bins--;
    if (table->bins == table->low) {
        table->low >>= 1;
    }
    if (table->bins % SEGMENT_BINS == 0) {
        size_t segment = (size_t)(table->bins / SEGMENT_BINS);
        PyMem_Free(table->segments[segment]);
        if (table->room > FEW_SEGMENTS && segment <= table->room / 4) {
            void **segments = PyMem_RawRealloc(table->segments, table->room / 2 * sizeof(void *));
            if (segments != NULL) {
                table->segments = segments;
                table->room /= 2;
            }
        }
    }
    uint64_t kept = table->bins / 4 + FEW_SPARES; /* one that grows never has more */
    spare_free(table, kept < table->bins ? kept : table->bins - 1, FREED_AT_ONCE);
}

/* Deal out what a chain has among two others: to *other* what has that bit in its hash, which may be 0.  The chain's bins but for
 * the first are spare then, and serve again: with them there are enough, but where *own* had something already. */
static void
chain_deal(LargeTable *table, Bin *chain, Bin *own, Bin *other, uint64_t bit)
{
    Bin dealt = *chain, *next;
    memset(chain, 0, sizeof(Bin));
    own = chain_end(own);
    for (;; dealt = *next, spare_add(table, next)) {
        next = bin_after(&dealt);
        for (int i = 0; i < dealt.filled; i++) {
            chain_put(table, dealt.hashes[i] & bit ? &other : &own, dealt.hashes[i], dealt.slots[i]);
        }
        if (next == NULL) {
            return;
        }
    }
}

/* Have a new bin take its share of the one that has it as yet.  Without memory the table stays as it is. */
static void
table_split(LargeTable *table)
{
    uint64_t bit = table->low + 1;
    if (table->bins >= MOST_BINS || bin_add(table) < 0) {
        return;
    }
    Bin *from = bin_at(table, table->bins - 1 - bit);
    chain_deal(table, from, from, bin_at(table, table->bins - 1), bit);
    table->version++;
}

/* Have the last bin go back into the one that it came from.  Without memory the table stays as it is. */
static void
table_merge(LargeTable *table)
{
    uint64_t last = table->bins - 1;
    Bin *from = bin_at(table, last);
    Bin *into = bin_at(table, last & (last == table->low ? table->low >> 1 : table->low));
    if (from->filled) {
        if (spare_make(table, 2) < 0) { /* as many more as two chains may need that become one */
            return;
        }
        chain_deal(table, from, into, NULL, 0);
        table->version++;
    }
    bin_remove(table);
}

/* ---- look-ups */

static inline int
are_equal_texts(PyObject *one, PyObject *other)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    return length == PyUnicode_GET_LENGTH(other) && PyUnicode_KIND(one) == PyUnicode_KIND(other)
        && memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)length * PyUnicode_KIND(one)) == 0;
}

static inline int
are_equal_numbers(PyObject *one, PyObject *other)
{
#if PY_VERSION_HEX >= 0x030C0000
    const _PyLongValue *left = &((PyLongObject *)one)->long_value, *right = &((PyLongObject *)other)->long_value;
    return left->lv_tag == right->lv_tag
        && memcmp(left->ob_digit, right->ob_digit, (left->lv_tag >> 3) * sizeof(digit)) == 0;
#else
    Py_ssize_t size = Py_SIZE(one);
    return size == Py_SIZE(other)
        && memcmp(((PyLongObject *)one)->ob_digit, ((PyLongObject *)other)->ob_digit,
                  (size_t)(size < 0 ? -size : size) * sizeof(digit)) == 0;
#endif
}

/* Find a key: 1, and its place; 0: it is not there, and *spot has the head of the chain where it would be, if there is
 * one; -1: a comparison has raised an exception.  The caller has a reference to the table, and to the key. */
static int
large_find(LargeTable *table, PyObject *key, Py_hash_t hash, Spot *spot)
{
    uint32_t bits = spread(hash);
again:
    if (table->bins == 0) {
        *spot = (Spot){NULL, NULL, 0};
        return 0;
    }
    Bin *bin = bin_at(table, bin_number(table, bits));
    *spot = (Spot){bin, NULL, 0};
    for (; bin != NULL; bin = bin_after(bin)) {
        for (int i = 0; i < bin->filled; i++) {
            if (bin->hashes[i] != bits) {
                continue;
            }
            uintptr_t slot = bin->slots[i];
            if (!has_cell(slot)) {
                FETCH(&entry_in(slot)->deadline); /* soon needed, and in another line */
            }
            PyObject *other = slot_key(slot);
            int same = other == key;
            if (!same && other != NULL) {
                FETCH(other);
                FETCH(has_cell(slot) ? slot_value(slot) : entry_in(slot)->value);
                if (PyUnicode_CheckExact(key) && PyUnicode_CheckExact(other)) {
                    same = are_equal_texts(other, key);
                }
                else if (PyLong_CheckExact(key) && PyLong_CheckExact(other)) {
                    same = are_equal_numbers(other, key);
                }
                else {
                    uint64_t version = table->version;
                    Py_INCREF(other);
                    same = PyObject_RichCompareBool(other, key, Py_EQ);
                    Py_DECREF(other);
                    if (same < 0) {
                        return -1;
                    }
                    if (table->version != version) {
                        goto again;
                    }
                }
            }
            if (same) {
                spot->bin = bin;
                spot->at = i;
                return 1;
            }
        }
    }
    return 0;
}

static inline uintptr_t
slot_at(const Spot *spot)
{
    return spot->bin->slots[spot->at];
}

/* The value of a key, borrowed, and whether that is known to be an entry, without a look at it; NULL: nothing, or with an
 * exception, which a comparison raised. */
static PyObject *
large_get_entry(LargeTable *table, PyObject *key, Py_hash_t hash, int *is_one)
{
    Spot spot;
    if (large_find(table, key, hash, &spot) <= 0) {
        return NULL;
    }
    *is_one = !has_cell(slot_at(&spot));
    return slot_value(slot_at(&spot));
}

/* The value of a key, likewise. */
static PyObject *
large_get(LargeTable *table, PyObject *key, Py_hash_t hash)
{
    Spot spot;
    return large_find(table, key, hash, &spot) > 0 ? slot_value(slot_at(&spot)) : NULL;
}

/* ---- changes */

/* Put in what is not there, as large_find() has said.  -1 with an error set. */
static int
large_add(State *state, LargeTable *table, PyObject *key, Py_hash_t hash, PyObject *value, Bin *head)
{
    if (head == NULL) {
        if (bin_add(table) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        head = bin_at(table, 0);
    }
    Bin *last = chain_end(head);
    uintptr_t slot = slot_made(state, key, value);
    if (slot == 0 || chain_put(table, &last, spread(hash), slot) < 0) {
        if (slot != 0) {
            slot_drop(slot); /* not the last reference to what the caller has */
        }
        PyErr_NoMemory();
        return -1;
    }
    table->visible += is_visible(slot);
    table->size++;
    table->version++;
    if ((uint64_t)table->size > SPLIT_ABOVE * table->bins) {
        table_split(table);
    }
    return 0;
}

/* Put in a value for a key, new or not.  -1 with an error set.  Returns 0 with *old as the slot that is to be given up by
 * the caller, 0: there is none. */
static int
large_put(State *state, LargeTable *table, PyObject *key, Py_hash_t hash, PyObject *value, uintptr_t *old)
{
    Spot spot;
    *old = 0;
    int found = large_find(table, key, hash, &spot);
    if (found <= 0) {
        return found < 0 ? -1 : large_add(state, table, key, hash, value, spot.head);
    }
    uintptr_t present = slot_at(&spot);
    if (slot_value(present) == value) {
        return 0;
    }
    PyObject *kept = slot_key(present); /* the key that was there first, as in a dictionary; not in an entry of its own */
    int is_own = PyObject_TypeCheck(value, state->Entry) && ((Node *)value)->key == key;
    uintptr_t slot = slot_made(state, is_own || kept == NULL ? key : kept, value);
    if (slot == 0) {
        PyErr_NoMemory();
        return -1;
    }
    table->visible += is_visible(slot) - is_visible(present);
    spot.bin->slots[spot.at] = slot;
    *old = present;
    return 0;
}

/* Take out what is at a place: the slot, which the caller gives up. */
static uintptr_t
large_take_out(LargeTable *table, Spot *spot)
{
    uintptr_t slot = slot_at(spot);
    chain_remove(table, spot);
    table->visible -= is_visible(slot);
    table->size--;
    table->version++;
    if (table->bins > 1 && (uint64_t)table->size < MERGE_BELOW * table->bins) {
        table_merge(table);
    }
    return slot;
}

/* Take out what a key has: the slot, which the caller gives up.  0: there is nothing; or with an exception, which a
 * comparison raised. */
static uintptr_t
large_del(LargeTable *table, PyObject *key, Py_hash_t hash)
{
    Spot spot;
    return large_find(table, key, hash, &spot) > 0 ? large_take_out(table, &spot) : 0;
}

/* Find an entry, which lies there by itself, by the hash of its key; this compares no keys. */
static int
large_find_entry(LargeTable *table, Entry *entry, Py_hash_t hash, Spot *spot)
{
    if (table->bins == 0) {
        return 0;
    }
    Bin *bin = spot->head = bin_at(table, bin_number(table, spread(hash)));
    for (; bin != NULL; bin = bin_after(bin)) {
        for (int i = 0; i < bin->filled; i++) {
            if (bin->slots[i] == (uintptr_t)entry) {
                spot->bin = bin;
                spot->at = i;
                return 1;
            }
        }
    }
    return 0;
}

/* Take out something, whatever lies last: its slot, which the caller gives up.  0: the table is empty. */
static uintptr_t
large_pop(LargeTable *table)
{
    if (table->size == 0) {
        return 0;
    }
    Bin *head = bin_at(table, table->bins - 1);
    while (!head->filled) {
        bin_remove(table); /* none of those that remain is the place of a key that it had */
        head = bin_at(table, table->bins - 1);
    }
    Bin *last = chain_end(head);
    Spot spot = {head, last, last->filled - 1};
    uintptr_t slot = slot_at(&spot);
    chain_remove(table, &spot);
    table->visible -= is_visible(slot);
    table->size--;
    table->version++;
    return slot;
}

/* Move all that is in a table into another one, which is empty, in one step. */
static void
large_move(LargeTable *from, LargeTable *to)
{
    LargeTable had = *from;
    from->segments = to->segments;
    from->room = to->room;
    from->bins = to->bins;
    from->low = to->low;
    from->spare = to->spare;
    from->spares = to->spares;
    from->blocks = to->blocks;
    from->size = to->size;
    from->visible = to->visible;
    from->version++;
    to->segments = had.segments;
    to->room = had.room;
    to->bins = had.bins;
    to->low = had.low;
    to->spare = had.spare;
    to->spares = had.spares;
    to->blocks = had.blocks;
    to->size = had.size;
    to->visible = had.visible;
    to->version++;
}

static LargeTable *
large_new(State *state)
{
    if (state->is_over) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is about to end");
        return NULL;
    }
    LargeTable *table = (LargeTable *)state->LargeTable->tp_alloc(state->LargeTable, 0);
    if (table != NULL) {
        table->version = ++state->tables << 40;
    }
    return table;
}

/* Free all that a table has, in one go. */
static void
large_free(LargeTable *table)
{
    LargeTable had = *table;
    table->segments = NULL;
    table->room = 0;
    table->bins = table->low = 0;
    table->size = table->visible = 0;
    table->version++;
    spare_free(table, 0, UINT64_MAX);
    table->blocks = 0;
    for (uint64_t number = 0; number < had.bins; number++) { /* nobody else reaches these from here on */
        Bin *head = bin_at(&had, number), *bin = head, *next;
        for (; bin != NULL; bin = next) {
            next = bin_after(bin);
            for (int i = 0; i < bin->filled; i++) {
                slot_drop(bin->slots[i]);
            }
            if (bin != head) {
                PyMem_Free(bin);
            }
        }
        if (number % SEGMENT_BINS == SEGMENT_BINS - 1 || number == had.bins - 1) {
            PyMem_Free(had.segments[number / SEGMENT_BINS]);
        }
    }
    PyMem_RawFree(had.segments);
}

/* ---- going through it
 *
 * By the bits of the hashes in reverse: so a bin has a stretch of them, and its halves have the two halves of that,
 * whenever it is divided.  Who knows how far they were gone through meets what stays once, whatever else happens.
 */

enum { EACH_KEY, EACH_VALUE, EACH_ITEM, EACH_LOT };

typedef struct {
    PyObject_HEAD
    LargeTable *table; /* own; NULL: cleared by the collector */
    int kind, is_over;
    uint32_t next;  /* what lies ahead, of the hashes' bits in reverse */
    Bin *bin; /* not of lots: the bin that it is in, NULL: in none; valid in that version of the table, */
    int at;         /* and the next slot there */
    int met;        /* so many were met of its chain, */
    uint32_t begin; /* which was reached at this */
    uint64_t version;
} LargeWalk;

static PyObject *
large_walk(PyObject *table, int kind)
{
    State *state = state_of(Py_TYPE(table));
    if (state == NULL || state->is_over) {
        return state == NULL ? NULL : PyErr_Format(PyExc_RuntimeError, "the interpreter is about to end");
    }
    LargeWalk *walk = (LargeWalk *)state->LargeWalk->tp_alloc(state->LargeWalk, 0);
    if (walk != NULL) {
        walk->table = (LargeTable *)Py_NewRef(table);
        walk->kind = kind;
    }
    return (PyObject *)walk;
}

/* The bin that is next, and by *begin* where in it; it is gone past.  NULL: there is none. */
static Bin *
walk_on(LargeWalk *walk, uint32_t *begin)
{
    LargeTable *table = walk->table;
    if (walk->is_over || table == NULL || table->size == 0) {
        return NULL;
    }
    uint64_t number = bin_number(table, reversed(walk->next));
    int bits = bin_bits(table, number);
    *begin = walk->next;
    walk->next = bits == 0 ? 0 : (walk->next | ~(uint32_t)0 >> bits) + 1;
    walk->is_over = walk->next == 0;
    return bin_at(table, number);
}

static PyObject *
walk_lot(LargeWalk *walk)
{
    State *state = state_of(Py_TYPE(walk));
    PyObject *lot = state == NULL ? NULL : PyList_New(0);
    double most = state == NULL ? NAN : number_of(state->in_large_table, state->LOT_name);
    Bin *bin;
    uint32_t begin;
    most = most >= 1 ? most : 1;
    while (lot != NULL && !(PyList_GET_SIZE(lot) && (double)(PyList_GET_SIZE(lot) + BIN_SLOTS) > most)
           && (bin = walk_on(walk, &begin)) != NULL) {
        for (; bin != NULL; bin = bin_after(bin)) {
            for (int i = 0; i < bin->filled; i++) {
                if (reversed(bin->hashes[i]) >= begin /* else a merger has brought it here */
                    && PyList_Append(lot, slot_value(bin->slots[i])) < 0) {
                    Py_CLEAR(lot);
                    return NULL;
                }
            }
        }
    }
    if (lot != NULL && PyList_GET_SIZE(lot) == 0) {
        Py_CLEAR(lot);
    }
    return lot;
}

static PyObject *
walk_next(PyObject *self)
{
    LargeWalk *walk = (LargeWalk *)self;
    if (walk->kind == EACH_LOT) {
        return walk_lot(walk);
    }
    for (;;) {
        if (walk->bin != NULL && walk->version != walk->table->version) {
            if (walk->met <= MOST_AGAIN) { /* who goes on meets all that is there by now, but not forever the same */
                walk->next = walk->begin;
                walk->is_over = 0;
            }
            walk->bin = NULL;
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
            return NULL;
        }
        while (walk->bin != NULL && walk->at < walk->bin->filled) {
            uintptr_t slot = walk->bin->slots[walk->at++];
            walk->met++;
            PyObject *key = slot_key(slot), *value = slot_value(slot);
            if (walk->kind == EACH_VALUE) {
                return Py_NewRef(value);
            }
            if (key == NULL) { /* the collector has been here */
                continue;
            }
            Py_INCREF(key); /* the collector may run */
            Py_INCREF(value);
            PyObject *item = walk->kind == EACH_KEY ? Py_NewRef(key) : PyTuple_Pack(2, key, value);
            Py_DECREF(key);
            Py_DECREF(value);
            return item;
        }
        if (walk->bin != NULL && walk->bin->chained) {
            walk->bin = bin_after(walk->bin);
        }
        else {
            walk->bin = walk_on(walk, &walk->begin);
            walk->met = 0;
        }
        walk->at = 0;
        if (walk->bin == NULL) {
            return NULL;
        }
        walk->version = walk->table->version;
    }
}

static int
walk_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((LargeWalk *)self)->table);
    return 0;
}

static int
walk_clear(PyObject *self)
{
    ((LargeWalk *)self)->bin = NULL;
    Py_CLEAR(((LargeWalk *)self)->table);
    return 0;
}

static void
walk_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    walk_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot large_walk_slots[] = {
    {Py_tp_dealloc, walk_dealloc}, {Py_tp_traverse, walk_traverse}, {Py_tp_clear, walk_clear},
    {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, walk_next}, {0, NULL},
};
static PyType_Spec large_walk_spec = {
    "memo._native._speed.LargeWalk", sizeof(LargeWalk), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, large_walk_slots,
};

/* ---- the same for Python, as Parted has it */

static PyObject *
large_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *first, *key, *value;
    Py_ssize_t at = 0;
    if (!PyArg_ParseTuple(args, "O!:LargeTable", &PyDict_Type, &first)) {
        return NULL;
    }
    State *state = state_of(type);
    LargeTable *table = state == NULL ? NULL : large_new(state);
    Py_ssize_t size = PyDict_GET_SIZE(first);
    while (table != NULL && PyDict_Next(first, &at, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        Py_hash_t hash = PyObject_Hash(key);
        int done = hash == -1 ? -1 : PyDict_GET_SIZE(first) != size ? -1
            : large_add(state, table, key, hash, value,
                        table->bins ? bin_at(table, bin_number(table, spread(hash))) : NULL);
        if (done < 0 && !PyErr_Occurred()) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
        }
        Py_DECREF(key);
        Py_DECREF(value);
        if (done < 0) {
            Py_CLEAR(table);
        }
    }
    return (PyObject *)table;
}

static void
raise_key_error(PyObject *key)
{
    PyObject *args = PyTuple_Pack(1, key); /* a key that is a tuple would be taken for several arguments */
    if (args != NULL) {
        PyErr_SetObject(PyExc_KeyError, args);
        Py_DECREF(args);
    }
}

/* What has been asked for by a key: a new reference; NULL with an exception: KeyError, if there is none and no *other*. */
static PyObject *
large_asked(PyObject *self, PyObject *key, PyObject *other)
{
    Py_hash_t hash = PyObject_Hash(key);
    PyObject *found = hash == -1 ? NULL : large_get((LargeTable *)self, key, hash);
    if (found == NULL && !PyErr_Occurred()) {
        found = other;
        if (found == NULL) {
            raise_key_error(key);
        }
    }
    return Py_XNewRef(found);
}

static PyObject *
large_subscript(PyObject *self, PyObject *key)
{
    return large_asked(self, key, NULL);
}

static PyObject *
large_get_method(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 1 && nargs != 2) {
        return PyErr_Format(PyExc_TypeError, "get() takes a key, and perhaps a default");
    }
    return large_asked(self, args[0], nargs == 2 ? args[1] : Py_None);
}

static int
large_contains(PyObject *self, PyObject *key)
{
    Spot spot;
    Py_hash_t hash = PyObject_Hash(key);
    return hash == -1 ? -1 : large_find((LargeTable *)self, key, hash, &spot);
}

static Py_ssize_t
large_length(PyObject *self)
{
    return ((LargeTable *)self)->size;
}

/* Take a key out: its value, a new reference; NULL without an exception: there is none. */
static PyObject *
large_taken(PyObject *self, PyObject *key)
{
    Py_hash_t hash = PyObject_Hash(key);
    uintptr_t slot = hash == -1 ? 0 : large_del((LargeTable *)self, key, hash);
    PyObject *value = slot == 0 ? NULL : Py_NewRef(slot_value(slot));
    if (slot != 0) {
        slot_drop(slot);
    }
    return value;
}

static int
large_assign(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        PyObject *taken = large_taken(self, key);
        if (taken == NULL && !PyErr_Occurred()) {
            raise_key_error(key);
        }
        Py_XDECREF(taken);
        return PyErr_Occurred() ? -1 : 0;
    }
    State *state = state_of(Py_TYPE(self));
    Py_hash_t hash = PyObject_Hash(key);
    uintptr_t old;
    if (state == NULL || hash == -1 || large_put(state, (LargeTable *)self, key, hash, value, &old) < 0) {
        return -1;
    }
    if (old != 0) {
        slot_drop(old);
    }
    return 0;
}

static PyObject *
large_pop_method(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 1 && nargs != 2) {
        return PyErr_Format(PyExc_TypeError, "pop() takes a key, and perhaps a default");
    }
    PyObject *taken = large_taken(self, args[0]);
    if (taken == NULL && !PyErr_Occurred()) {
        if (nargs == 2) {
            return Py_NewRef(args[1]);
        }
        raise_key_error(args[0]);
    }
    return taken;
}

static PyObject *
large_popitem(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (((LargeTable *)self)->size == 0) {
        PyErr_SetString(PyExc_KeyError, "popitem(): dictionary is empty");
        return NULL;
    }
    PyObject *item = PyTuple_New(2); /* before anything leaves */
    uintptr_t slot = item == NULL ? 0 : large_pop((LargeTable *)self);
    if (slot == 0) { /* what the collector ran has emptied it */
        Py_XDECREF(item);
        if (item != NULL) {
            PyErr_SetString(PyExc_KeyError, "popitem(): dictionary is empty");
        }
        return NULL;
    }
    PyObject *key = slot_key(slot);
    PyTuple_SET_ITEM(item, 0, Py_NewRef(key == NULL ? Py_None : key));
    PyTuple_SET_ITEM(item, 1, Py_NewRef(slot_value(slot)));
    slot_drop(slot);
    return item;
}

static PyObject *
large_setdefault(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 1 && nargs != 2) {
        return PyErr_Format(PyExc_TypeError, "setdefault() takes a key, and perhaps a default");
    }
    State *state = state_of(Py_TYPE(self));
    Py_hash_t hash = state == NULL ? -1 : PyObject_Hash(args[0]);
    PyObject *value = nargs == 2 ? args[1] : Py_None;
    Spot spot;
    int found = hash == -1 ? -1 : large_find((LargeTable *)self, args[0], hash, &spot);
    if (found < 0 || (!found && large_add(state, (LargeTable *)self, args[0], hash, value, spot.head) < 0)) {
        return NULL;
    }
    return Py_NewRef(found ? slot_value(slot_at(&spot)) : value);
}

static PyObject *
large_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    large_free((LargeTable *)self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(large_take_doc, "take(most, into): take out that many, or all, and add their values to a list, in one step.");

static PyObject *
large_take(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyList_CheckExact(args[1])) {
        return PyErr_Format(PyExc_TypeError, "take() takes a number and a list");
    }
    Py_ssize_t most = PyLong_AsSsize_t(args[0]);
    if (most == -1 && PyErr_Occurred()) {
        return NULL;
    }
    for (; most > 0 && ((LargeTable *)self)->size; most--) {
        if (PyList_Append(args[1], Py_None) < 0) {
            return NULL;
        }
        uintptr_t slot = large_pop((LargeTable *)self);
        PyList_SET_ITEM(args[1], PyList_GET_SIZE(args[1]) - 1, Py_NewRef(slot_value(slot)));
        Py_DECREF(Py_None);
        slot_drop(slot);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(large_heirs_doc, "heirs(): what is to get all that is here: an empty table, in a list.");

static PyObject *
large_heirs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    State *state = state_of(Py_TYPE(self));
    PyObject *heirs = state == NULL ? NULL : PyList_New(1);
    LargeTable *heir = heirs == NULL ? NULL : large_new(state);
    if (heir == NULL) {
        Py_XDECREF(heirs);
        return NULL;
    }
    PyList_SET_ITEM(heirs, 0, (PyObject *)heir);
    return heirs;
}

/* The table among *heirs* that gets all; NULL with an error set. */
static LargeTable *
heir_among(PyObject *self, PyObject *heirs)
{
    PyObject *heir = PyList_CheckExact(heirs) && PyList_GET_SIZE(heirs) ? PyList_GET_ITEM(heirs, 0) : NULL;
    if (heir == NULL || !Py_IS_TYPE(heir, Py_TYPE(self)) || heir == self) {
        PyErr_SetString(PyExc_TypeError, "these are no heirs; take those that heirs() returns");
        return NULL;
    }
    return (LargeTable *)heir;
}

PyDoc_STRVAR(large_give_away_doc, "give_away(heirs): begin anew, empty, in one step: the heirs have what was here.");

static PyObject *
large_give_away(PyObject *self, PyObject *heirs)
{
    LargeTable *heir = heir_among(self, heirs);
    if (heir == NULL) {
        return NULL;
    }
    if (heir->size) {
        return PyErr_Format(PyExc_ValueError, "give_away(): the heirs have something already; take new ones");
    }
    large_move((LargeTable *)self, heir);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(large_gave_away_doc, "gave_away(heirs): whether the heirs, of a table that had something, have got it.");

static PyObject *
large_gave_away(PyObject *self, PyObject *heirs)
{
    LargeTable *heir = heir_among(self, heirs);
    return heir == NULL ? NULL : PyBool_FromLong(heir->size != 0);
}

static PyObject *
large_nothing(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_NONE;
}

static PyObject *
large_keys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return large_walk(self, EACH_KEY);
}

static PyObject *
large_values(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return large_walk(self, EACH_VALUE);
}

static PyObject *
large_items(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return large_walk(self, EACH_ITEM);
}

static PyObject *
large_lots(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return large_walk(self, EACH_LOT);
}

static PyObject *
large_iter(PyObject *self)
{
    return large_walk(self, EACH_KEY);
}

static PyObject *
large_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    LargeTable *table = (LargeTable *)self;
    uint64_t segments = (table->bins + SEGMENT_BINS - 1) / SEGMENT_BINS;
    return PyLong_FromSize_t(sizeof(LargeTable) + table->room * sizeof(void *) + (size_t)segments * SEGMENT
                             + (size_t)table->blocks * sizeof(Bin));
}

/* Raise AssertionError unless the invariants hold; returns how many bins there are, how many more were chained to
 * these, and how many keys the longest chain has. */
static PyObject *
large_check(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    LargeTable *table = (LargeTable *)self;
    Py_ssize_t size = 0, visible = 0, chained = 0, longest = 0;
    const char *wrong = NULL;
    if (table->bins ? table->low >= table->bins || table->bins >= 2 * (table->low + 1) : table->size != 0) {
        wrong = "the number of bins has other bits";
    }
    for (uint64_t number = 0; number < table->bins && wrong == NULL; number++) {
        Bin *head = bin_at(table, number), *bin = head;
        Py_ssize_t length = 0;
        for (; bin != NULL; bin = bin_after(bin)) {
            length += bin->filled;
            chained += bin != head;
            if (bin->filled > BIN_SLOTS || (bin->chained && bin->filled != LAST_SLOT) || (bin != head && bin->filled < 2)) {
                wrong = "a bin is not filled as it should be";
            }
            for (int i = 0; i < bin->filled; i++) {
                visible += is_visible(bin->slots[i]);
                wrong = slot_key(bin->slots[i]) == NULL              ? "an entry has no key"
                    : bin_number(table, bin->hashes[i]) != number ? "a key lies in another bin"
                                                                  : wrong;
            }
        }
        size += length;
        longest = length > longest ? length : longest;
    }
    if (wrong == NULL && (size != table->size || visible != table->visible)) {
        wrong = "keys are miscounted";
    }
    uint64_t spares = 0;
    for (Bin *bin = table->spare; bin != NULL && spares <= table->spares; bin = (Bin *)bin->slots[0]) {
        spares++;
    }
    if (wrong == NULL && (spares != table->spares || spares + (uint64_t)chained != table->blocks)) {
        wrong = "spare bins are miscounted";
    }
    if (wrong != NULL) {
        PyErr_SetString(PyExc_AssertionError, wrong);
        return NULL;
    }
    return Py_BuildValue("(Knn)", (unsigned long long)table->bins, chained, longest);
}

static int
large_traverse(PyObject *self, visitproc visit, void *arg)
{
    LargeTable *table = (LargeTable *)self;
    Py_VISIT(Py_TYPE(self));
    if (table->visible <= 0) {
        return 0;
    }
    for (uint64_t number = 0; number < table->bins; number++) {
        for (Bin *bin = bin_at(table, number); bin != NULL; bin = bin_after(bin)) {
            for (int i = 0; i < bin->filled; i++) {
                if (has_cell(bin->slots[i])) {
                    Py_VISIT(cell_in(bin->slots[i])->key);
                }
                Py_VISIT(slot_value(bin->slots[i]));
            }
        }
    }
    return 0;
}

static int
large_tp_clear(PyObject *self)
{
    large_free((LargeTable *)self);
    return 0;
}

static void
large_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    large_free((LargeTable *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL
static PyMethodDef large_methods[] = {
    {"get", FAST(large_get_method), NULL},
    {"pop", FAST(large_pop_method), NULL},
    {"popitem", large_popitem, METH_NOARGS, NULL},
    {"setdefault", FAST(large_setdefault), NULL},
    {"clear", large_clear, METH_NOARGS, NULL},
    {"keys", large_keys, METH_NOARGS, NULL},
    {"values", large_values, METH_NOARGS, NULL},
    {"items", large_items, METH_NOARGS, NULL},
    {"lots", large_lots, METH_NOARGS, "The values in lists, while the table changes in any way."},
    {"take", FAST(large_take), large_take_doc},
    {"heirs", large_heirs, METH_NOARGS, large_heirs_doc},
    {"give_away", large_give_away, METH_O, large_give_away_doc},
    {"gave_away", large_gave_away, METH_O, large_gave_away_doc},
    {"divide", large_nothing, METH_NOARGS, "It is divided as it grows."},
    {"_check", large_check, METH_NOARGS, NULL},
    {"__sizeof__", large_sizeof, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL},
};
#undef FAST
static PyType_Slot large_slots[] = {
    {Py_tp_doc, "A dictionary none of whose changes takes long."},
    {Py_tp_new, large_make}, {Py_tp_dealloc, large_dealloc}, {Py_tp_traverse, large_traverse},
    {Py_tp_clear, large_tp_clear}, {Py_tp_iter, large_iter}, {Py_tp_methods, large_methods},
    {Py_mp_length, large_length}, {Py_mp_subscript, large_subscript}, {Py_mp_ass_subscript, large_assign},
    {Py_sq_contains, large_contains}, {0, NULL},
};
static PyType_Spec large_spec = {
    "memo._native._speed.LargeTable", sizeof(LargeTable), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, large_slots,
};

/* -- the policies of two queues: memo/policies/adaptive.py and s3fifo.py say how, and memo/_store/entry_*.py; C decides
 * the same where every entry weighs 1.
 *
 * A Policy is the base of the policies in Python, and has the attributes that both read and write.  What it owns are
 * common references; `index` is the dictionary of the entries, or a LargeTable.
 */

#define SMALL_SHARE 10
#define WHOLE 10000 /* as in memo/_store/parted.py */
#define MOST 500
#define PROMOTED_FROM 2
#define MOST_ROUNDS 3
#define MOST_STEPS 64
#define REMEMBERED 5
#define GATE 0.6
#define SPAN 0x7FFFFFFF
#define INTO_MAIN 1
#define WITH_CREDIT 2

enum { IN_PYTHON, IN_C_S3FIFO, IN_C_ADAPTIVE }; /* kinds of a Policy: who decides */

typedef struct {
    PyObject_HEAD
    PyObject *index, *leaving, *ghost, *share, *small, *main;
    Amount maxsize, currsize, small_most, main_most;
    char filled; /* there was an eviction */
    char kind;   /* not IN_PYTHON: ghost, share (of the adaptive policy), small and main are objects of this module */
    char odd;    /* a key came whose hash or comparison may be code in Python */
} Policy;

static inline double
amount_of(const Amount *amount)
{
    double value = amount->other == NULL ? (double)amount->n : PyFloat_AsDouble(amount->other);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
    }
    return value;
}

static void
amount_put(Amount *amount, double value)
{
    PyObject *old = amount->other;
    int whole = value < 9e18;
    amount->n = whole ? (int64_t)value : 0;
    amount->other = whole ? NULL : PyFloat_FromDouble(value);
    Py_XDECREF(old); /* a number */
}

static int is_plain_otherwise(State *state, PyObject *key); /* of section 4 */

/* Whether neither hashing nor comparing a key, nor giving it up, runs code of the user's. */
static inline int
is_plain(State *state, PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || is_plain_otherwise(state, key);
}

static inline Queue *
small_of(const Policy *policy)
{
    return (Queue *)policy->small;
}

static inline Queue *
main_of(const Policy *policy)
{
    return (Queue *)policy->main;
}

/* Whether the queues can be worked on: C decides, and neither was torn at its ends. */
static int
policy_is_ready(State *state, const Policy *policy)
{
    return policy->kind != IN_PYTHON && policy->small != NULL && policy->main != NULL && policy->ghost != NULL
        && (policy->kind == IN_C_S3FIFO || policy->share != NULL) && policy->index != NULL
        && Py_IS_TYPE(policy->ghost, state->Ghost) && hangs(&small_of(policy)->node) && hangs(&main_of(policy)->node);
}

static PyObject *
torn(void)
{
    PyErr_SetString(PyExc_AttributeError, "newer: an entry hangs in no queue, since a change was cut short");
    return NULL;
}

/* Move a node to the new end of a queue, wherever it hangs. */
static inline void
move_to(Queue *queue, Node *node)
{
    unhang(node);
    hang_newest(&queue->node, node);
}

static inline int
in_main(const Node *node)
{
    return (int)(node->mark & 1);
}

/* How often an entry of the adaptive policy was used since the policy last looked, and with its credits. */
static inline int64_t
new_uses(const Node *node)
{
    return (int64_t)node->hits - (node->mark >> 3);
}

static inline int64_t
credit_of(const Node *node)
{
    return (node->mark >> 1 & 3) + new_uses(node);
}

/* Look at the main queue's oldest, and give it another round if it has earned one: whether it has. */
static int
adaptive_visit(Policy *policy, Node *node)
{
    Share *share = (Share *)policy->share;
    int64_t now = share->now, away = now - time_of(node), new = new_uses(node), credit = credit_of(node);
    share->visits += 1;
    share->visited += (double)(away ? away : 1);
    if (credit == 0) {
        return 0;
    }
    if (new) {
        share->used += 1;
        credit = credit > MOST_ROUNDS ? MOST_ROUNDS : credit;
    }
    move_to(main_of(policy), node);
    set_mark(node, (int64_t)node->hits << 3 | (credit - 1) << 1 | 1);
    set_time(node, now);
    return 1;
}

static inline int
is_due_a_round(const Node *node)
{
    return (node->mark & 6) || new_uses(node) > 0;
}

/* How the node of a key begins that the ghost had, with that stamp. */
static int
adaptive_returned(Policy *policy, int64_t stamp)
{
    Share *share = (Share *)policy->share;
    int64_t away = (share->now - (stamp >> 1)) & SPAN;
    int j = 0;
    while (j < SHARES && share->ages[j] < away) {
        j++;
    }
    share->late[j] += 1;
    if ((stamp & 1) && (double)away <= share->soon) {
        share->back += 1;
    }
    Queue *main = main_of(policy);
    Node *oldest = main->node.newer;
    if (oldest == &main->node) {
        return INTO_MAIN;
    }
    if (is_due_a_round(oldest)) {
        adaptive_visit(policy, oldest);
        oldest = main->node.newer;
        if (is_due_a_round(oldest)) {
            return WITH_CREDIT;
        }
    }
    return (double)away <= GATE * (double)(share->now - time_of(oldest)) ? INTO_MAIN : WITH_CREDIT;
}

static void
adaptive_divide(Policy *policy)
{
    amount_put(&policy->small_most, share_most((Share *)policy->share, amount_of(&policy->maxsize)));
}

/* Let the time of the adaptive policy go on by one new key. */
static void
adaptive_tick(Policy *policy)
{
    Share *share = (Share *)policy->share;
    if (++share->now >= share->tick && share_go_on(share, small_of(policy), policy->currsize.n)) {
        adaptive_divide(policy);
        ghost_fit((Ghost *)policy->ghost, REMEMBERED * share->entries);
    }
}

static inline int64_t
s3fifo_remembered(const Policy *policy)
{
    return at_least(1, policy->currsize.n * (SMALL_SHARE - 1) / SMALL_SHARE);
}

/* Remember the key of a node that is about to leave.  -1 with an error set: its hash is code in Python, and failed. */
static int
remember(Policy *policy, Node *node, int shortly)
{
    Ghost *ghost = (Ghost *)policy->ghost;
    if (node->key == NULL) {
        missing("key");
        return -1;
    }
    Py_hash_t hash = PyObject_Hash(node->key);
    if (hash == -1) {
        return -1;
    }
    int64_t capacity, stamp = 0;
    if (policy->kind == IN_C_ADAPTIVE) {
        capacity = REMEMBERED * ((Share *)policy->share)->entries;
        stamp = time_of(node) << 1 | in_main(node);
    }
    else {
        capacity = s3fifo_remembered(policy);
    }
    if (shortly) {
        ghost_add_shortly(ghost, hash, capacity, stamp);
    }
    else {
        ghost_add(ghost, hash, capacity, stamp);
    }
    return 0;
}

static void
promote(Policy *policy, Node *node)
{
    move_to(main_of(policy), node);
    small_of(policy)->size.n -= 1;
    main_of(policy)->size.n += 1;
}

/* The node of the adaptive policy to evict next, borrowed; NULL with an error set. */
static Node *
adaptive_victim(Policy *policy)
{
    Share *share = (Share *)policy->share;
    Queue *small = small_of(policy), *main = main_of(policy);
    if (!policy->filled) {
        policy->filled = 1;
        share_begin(share, policy->currsize.n);
    }
    double whole = (double)(small->size.n + main->size.n);
    double small_most = whole != amount_of(&policy->maxsize) ? share_most(share, whole) : amount_of(&policy->small_most);
    double main_most = whole - small_most;
    int filled_up = 0, steps = MOST_STEPS;
    for (;;) {
        int small_is_empty = small->node.newer == &small->node, main_is_empty = main->node.newer == &main->node;
        Node *node = (small_is_empty || ((double)main->size.n > main_most && !main_is_empty) ? main : small)->node.newer;
        if (node == &main->node || !hangs(node)) {
            return (Node *)torn();
        }
        if (in_main(node)) {
            if (steps && adaptive_visit(policy, node)) {
                steps--;
                continue;
            }
            share->gone += 1;
            return remember(policy, node, 0) < 0 ? NULL : node;
        }
        if (share->marked && share->markers[share->marked - 1] == node) {
            share_pass_by(share, node, small);
        }
        if (node->hits) {
            share->exits += 1;
        }
        if (credit_of(node) >= PROMOTED_FROM && steps) {
            steps--;
        }
        else if (!filled_up && (double)small->size.n > small_most && node->newer != &small->node
                 && (double)(small->size.n - 1) >= small_most && (double)(main->size.n + 1) <= main_most) {
            filled_up = 1;
        }
        else {
            return remember(policy, node, 0) < 0 ? NULL : node;
        }
        promote(policy, node);
        set_mark(node, (int64_t)node->hits << 3 | 1);
        set_time(node, share->now);
    }
}

/* The node of S3-FIFO to evict next, borrowed; NULL with an error set. */
static Node *
s3fifo_victim(Policy *policy)
{
    Queue *small = small_of(policy), *main = main_of(policy);
    double main_most = amount_of(&policy->main_most);
    int steps = MOST_STEPS;
    policy->filled = 1;
    for (;;) {
        int small_is_empty = small->node.newer == &small->node, main_is_empty = main->node.newer == &main->node;
        Node *node = (small_is_empty || ((double)main->size.n > main_most && !main_is_empty) ? main : small)->node.newer;
        if (node == &main->node || !hangs(node)) {
            return (Node *)torn();
        }
        int64_t uses = (int64_t)node->hits - (node->mark >> 1);
        if (in_main(node)) {
            if (uses <= 0 || !steps) {
                return node;
            }
            move_to(main, node); /* another round */
            set_mark(node, ((int64_t)node->hits - (uses < MOST_ROUNDS ? uses : MOST_ROUNDS) + 1) * 2 + 1);
        }
        else {
            if (uses < PROMOTED_FROM || !steps) {
                return remember(policy, node, 0) < 0 ? NULL : node;
            }
            promote(policy, node);
            set_mark(node, (int64_t)node->hits * 2 + 1);
        }
        steps--;
    }
}

static Node *
victim_of(Policy *policy)
{
    return policy->kind == IN_C_ADAPTIVE ? adaptive_victim(policy) : s3fifo_victim(policy);
}

/* The next to go, by the short way where there is one: the small queue's oldest was hardly used, and the queues are as
 * large as they should be. */
static Node *
victim_of_exchange(Policy *policy)
{
    Queue *small = small_of(policy), *main = main_of(policy);
    Node *node = small->node.newer;
    if (!policy->filled || node == &small->node || !hangs(node)) {
        return victim_of(policy);
    }
    if (policy->kind == IN_C_S3FIFO) {
        if ((double)main->size.n > amount_of(&policy->main_most)
            || (int64_t)node->hits - (node->mark >> 1) >= PROMOTED_FROM) {
            return victim_of(policy);
        }
    }
    else {
        Share *share = (Share *)policy->share;
        if ((double)small->size.n != amount_of(&policy->small_most)
            || ((node->hits || node->mark > 3) && credit_of(node) >= PROMOTED_FROM)) {
            return victim_of(policy);
        }
        if (node->hits) {
            share->exits += 1;
        }
        if (share->marked && share->markers[share->marked - 1] == node) {
            share_pass_by(share, node, small);
        }
    }
    return remember(policy, node, 1) < 0 ? NULL : node;
}

/* How a new key is to begin that comes into a full store (or, not by an exchange, into any). */
static int
recall_in(Policy *policy, Py_hash_t hash, int exchange)
{
    if (policy->kind == IN_C_ADAPTIVE) {
        adaptive_tick(policy);
    }
    int64_t stamp = policy->filled || exchange ? ghost_recall((Ghost *)policy->ghost, hash) : -1;
    if (policy->kind == IN_C_S3FIFO) {
        return stamp >= 0;
    }
    return stamp < 0 ? 0 : adaptive_returned(policy, stamp);
}

/* Hang in a new entry that has its key, with `begun` as its mark. */
static void
hang_in(State *state, Policy *policy, Node *node, int64_t begun)
{
    Queue *queue = begun & 1 ? main_of(policy) : small_of(policy);
    if (!policy->odd && node->key != NULL && !is_plain(state, node->key)) {
        policy->odd = 1;
    }
    set_mark(node, begun);
    if (policy->kind == IN_C_ADAPTIVE) {
        set_time(node, ((Share *)policy->share)->now);
    }
    if (node->older != NULL || node->newer != NULL) {
        take_links_back(node);
    }
    hang_newest(&queue->node, node);
    queue->size.n += 1;
}

/* Take down an entry that hangs(). */
static void
take_down(Policy *policy, Node *node)
{
    Queue *queue = in_main(node) ? main_of(policy) : small_of(policy);
    if (policy->kind == IN_C_ADAPTIVE && !in_main(node)) {
        share_pass_by((Share *)policy->share, node, small_of(policy));
    }
    unhang(node);
    queue->size.n -= 1;
}

/* -- the index: a dictionary, or a LargeTable; so are the tables of instances */

static inline int
is_large(State *state, PyObject *index)
{
    return Py_IS_TYPE(index, state->LargeTable);
}

/* Whether C knows how to read and change an index in one step. */
static inline int
is_index(State *state, PyObject *index)
{
    return PyDict_CheckExact(index) || is_large(state, index);
}

/* What an index has of a key, borrowed; NULL: nothing, or with an exception, which a comparison raised.  The caller has a
 * reference to it, where a comparison may run code of the user's. */
static inline PyObject *
index_find(State *state, PyObject *index, PyObject *key, Py_hash_t hash)
{
    return is_large(state, index) ? large_get((LargeTable *)index, key, hash)
                                  : _PyDict_GetItem_KnownHash(index, key, hash);
}

/* Take out an entry, of which, as of its key, the caller has a reference.  -1 with an error set. */
static int
index_del(State *state, Policy *policy, PyObject *key, PyObject *entry)
{
    PyObject *index = policy->index;
    Py_hash_t hash = policy->odd ? -1 : PyObject_Hash(key);
    Spot spot;
    if (hash != -1 && PyDict_CheckExact(index)) {
        return _PyDict_DelItem_KnownHash(index, key, hash);
    }
    if (hash != -1 && is_large(state, index) && large_find_entry((LargeTable *)index, (Entry *)entry, hash, &spot)) {
        slot_drop(large_take_out((LargeTable *)index, &spot));
        return 0;
    }
    PyErr_Clear();
    return PyObject_DelItem(index, key);
}

/* Put in the entry of a key that is not there, of that hash.  -1 with an error set. */
static int
index_set(State *state, Policy *policy, PyObject *key, Py_hash_t hash, PyObject *entry)
{
    PyObject *index = policy->index;
    uintptr_t old = 0;
    if (!policy->odd && PyDict_CheckExact(index)) {
        return _PyDict_SetItem_KnownHash(index, key, entry, hash);
    }
    if (!is_large(state, index)) {
        return PyObject_SetItem(index, key, entry);
    }
    Py_INCREF(index); /* a comparison may have it exchanged */
    int done = large_put(state, (LargeTable *)index, key, hash, entry, &old);
    Py_DECREF(index);
    if (old != 0) {
        slot_drop(old);
    }
    return done;
}

/* The number of the bin of an entry's key; -1: that is no matter of a few steps. */
static inline int64_t
bin_of_node(const LargeTable *table, const Node *node, Py_hash_t *hash)
{
    if (!hangs(node) || node->key == NULL || !(PyUnicode_CheckExact(node->key) || PyLong_CheckExact(node->key))) {
        return -1;
    }
    *hash = PyObject_Hash(node->key);
    return (int64_t)bin_number(table, spread(*hash));
}

/* Have that read which an exchange() for a key of that hash will probably look at, while its value is loaded.
 *
 * What a large store has is scattered: each piece would be waited for by itself.  Here all are waited for together, for
 * the time of one.  So nothing is asked for that depends on what is not there yet: the address of the bin of the entry that
 * leaves next was asked for when the load before this one began.  This runs nothing of the user's and decides nothing:
 * another entry may leave, or none. */
static void
fetch_for_exchange(State *state, PyObject *cache, Py_hash_t hash)
{
    const Policy *policy = (Policy *)cache;
    if (!PyObject_TypeCheck(cache, state->Policy) || !policy_is_ready(state, policy) || !policy->filled
        || !is_large(state, policy->index) || ((LargeTable *)policy->index)->bins == 0) {
        return;
    }
    const Ghost *ghost = (Ghost *)policy->ghost;
    const LargeTable *table = (LargeTable *)policy->index;
    const Node *next = small_of(policy)->node.newer;
    Py_hash_t leaving;
    FETCH(bucket_of(ghost, &ghost->table, fingerprint(hash)));
    int64_t number = bin_of_node(table, next, &leaving);
    if (number < 0) {
        return;
    }
    FETCH(bucket_of(ghost, &ghost->table, fingerprint(leaving)));
    FETCH(bin_at(table, (uint64_t)number));
    number = bin_of_node(table, next->newer, &leaving);
    if (number >= 0) {
        FETCH(&table->segments[(uint64_t)number / SEGMENT_BINS]);
    }
}

/* Put an entry of a new key in for the one that is to go, which is returned: a new reference, NULL with an error set.
 * The store is full.  It runs code of the user's only where a key is odd. */
static PyObject *
exchange(State *state, Policy *policy, PyObject *key, Py_hash_t hash, Node *entry)
{
    int begun = recall_in(policy, hash, 1);
    Node *victim = victim_of_exchange(policy);
    if (victim == NULL) {
        return NULL;
    }
    PyObject *gone = Py_NewRef(victim->key);
    Py_INCREF(victim);
    Py_XSETREF(policy->leaving, Py_NewRef((PyObject *)victim));
    int is_plainly = !policy->odd && PyDict_CheckExact(policy->index); /* it compares nothing but plain keys */
    if (index_del(state, policy, gone, (PyObject *)victim) < 0) {
        goto failed;
    }
    if (!is_plainly && (!hangs(victim) || !policy_is_ready(state, policy))) { /* by what a comparison did */
        torn();
        goto failed;
    }
    take_down(policy, victim);
    if (entry->key != key) {
        PyObject *old = entry->key;
        node_set_key(state, entry, key);
        Py_XDECREF(old); /* there is none, but in an entry that comes again */
    }
    hang_in(state, policy, entry, begun);
    if (index_set(state, policy, key, hash, (PyObject *)entry) < 0) {
        goto failed;
    }
    Py_DECREF(gone); /* the victim has it */
    return (PyObject *)victim;
failed:
    Py_DECREF(gone);
    Py_DECREF(victim);
    return NULL;
}

/* Store an entry of a new, plain key, in one step that runs no code of the user's.
 *
 * Returns 0: it is done, and *victim is a new reference to what it took the place of, or NULL.  -1 without an error set:
 * a doubt, and nothing has happened.  -1 with one: there is no memory; the store is torn. */
static int
entry_put_lean(State *state, PyObject *cache, PyObject *key, Py_hash_t hash, PyObject *entry, PyObject **victim)
{
    Policy *policy = (Policy *)cache;
    *victim = NULL;
    if (!PyObject_TypeCheck(cache, state->Policy) || !policy_is_ready(state, policy) || policy->odd
        || policy->currsize.other != NULL || policy->leaving != Py_None || !is_plain(state, key)
        || !is_index(state, policy->index)) {
        return -1;
    }
    double most = amount_of(&policy->maxsize);
    if ((double)policy->currsize.n < most) {
        if (most > WHOLE && policy->currsize.n >= MOST && PyDict_CheckExact(policy->index)) {
            return -1; /* the index goes on as a LargeTable */
        }
        int begun = recall_in(policy, hash, 0);
        Queue *small = small_of(policy);
        if (!begun && !policy->filled && (double)small->size.n >= amount_of(&policy->small_most)) {
            begun = INTO_MAIN;
        }
        node_set_key(state, (Node *)entry, key);
        hang_in(state, policy, (Node *)entry, begun);
        if (index_set(state, policy, key, hash, entry) < 0) {
            return -1;
        }
        policy->currsize.n += 1;
        return 0;
    }
    *victim = exchange(state, policy, key, hash, (Node *)entry);
    Py_XSETREF(policy->leaving, Py_NewRef(Py_None)); /* not the last reference: *victim is another */
    return *victim == NULL ? -1 : 0;
}

/* -- the same for Python */

static State *
policy_state(Policy *policy)
{
    State *state = state_of(Py_TYPE(policy));
    if (state != NULL && !policy_is_ready(state, policy)) {
        torn();
        return NULL;
    }
    return state;
}

/* An entry as a node; NULL with an error set. */
static Node *
read_node(State *state, PyObject *object)
{
    if (!PyObject_TypeCheck(object, state->Node)) {
        PyErr_Format(PyExc_TypeError, "an entry is needed, not '%.100s'", Py_TYPE(object)->tp_name);
        return NULL;
    }
    return (Node *)object;
}

static PyObject *
policy_recall(PyObject *self, PyObject *key)
{
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1 || policy_state((Policy *)self) == NULL) {
        return NULL;
    }
    return PyLong_FromLong(recall_in((Policy *)self, hash, 0));
}

/* Note whether a key is odd that Python hangs in. */
static PyObject *
policy_note_key(PyObject *self, PyObject *key)
{
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    ((Policy *)self)->odd |= !is_plain(state, key);
    Py_RETURN_NONE;
}

static PyObject *
policy_choose(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Node *node = policy_state((Policy *)self) == NULL ? NULL : victim_of((Policy *)self);
    return Py_XNewRef((PyObject *)node);
}

static PyObject *
policy_hang(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Policy *policy = (Policy *)self;
    State *state = policy_state(policy);
    Node *node = state == NULL || nargs != 2 ? NULL : read_node(state, args[0]);
    int64_t recalled = node == NULL ? 0 : PyLong_AsLongLong(args[1]);
    if (node == NULL || PyErr_Occurred()) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "hang: an entry and how it begins are needed");
    }
    if (!recalled && !policy->filled && (double)small_of(policy)->size.n >= amount_of(&policy->small_most)) {
        recalled = INTO_MAIN;
    }
    hang_in(state, policy, node, recalled);
    Py_RETURN_NONE;
}

static PyObject *
policy_take_down(PyObject *self, PyObject *entry)
{
    State *state = policy_state((Policy *)self);
    Node *node = state == NULL ? NULL : read_node(state, entry);
    if (node == NULL) {
        return NULL;
    }
    if (!hangs(node)) {
        return torn();
    }
    take_down((Policy *)self, node);
    Py_RETURN_NONE;
}

static PyObject *
policy_exchange(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    State *state = policy_state((Policy *)self);
    Node *node = state == NULL || nargs != 2 ? NULL : read_node(state, args[1]);
    if (node == NULL) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "exchange: a key and an entry are needed");
    }
    Py_hash_t hash = PyObject_Hash(args[0]);
    return hash == -1 ? NULL : exchange(state, (Policy *)self, args[0], hash, node);
}

/* Attributes whose values C relies on: objects of this module where C decides. */
enum { ATTRIBUTE_SMALL, ATTRIBUTE_MAIN, ATTRIBUTE_GHOST, ATTRIBUTE_SHARE };
static const struct {
    const char *name;
    size_t offset;
} policy_parts[] = {
    {"_small", offsetof(Policy, small)},
    {"_main", offsetof(Policy, main)},
    {"_ghost", offsetof(Policy, ghost)},
    {"_share", offsetof(Policy, share)},
};

static PyObject *
policy_get_part(PyObject *self, void *closure)
{
    PyObject *part = *(PyObject **)((char *)self + policy_parts[(intptr_t)closure].offset);
    return part == NULL ? missing(policy_parts[(intptr_t)closure].name) : Py_NewRef(part);
}

static int
policy_set_part(PyObject *self, PyObject *value, void *closure)
{
    Policy *policy = (Policy *)self;
    int part = (int)(intptr_t)closure;
    PyObject **field = (PyObject **)((char *)self + policy_parts[part].offset);
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return -1;
    }
    if (value == NULL) {
        missing(policy_parts[part].name);
        return -1;
    }
    Py_INCREF(value);
    if (part <= ATTRIBUTE_MAIN ? !PyObject_TypeCheck(value, state->Queue)
        : policy->kind == IN_PYTHON ? 0
        : part == ATTRIBUTE_GHOST   ? !Py_IS_TYPE(value, state->Ghost)
                                    : !Py_IS_TYPE(value, state->Share)) {
        PyObject *made = NULL;
        if (part == ATTRIBUTE_SHARE) { /* of a pickle, which has one in Python */
            made = share_make(state->Share, NULL, NULL);
            if (made != NULL && share_take_over((Share *)made, value) < 0) {
                Py_CLEAR(made);
            }
        }
        else {
            PyErr_Format(PyExc_TypeError, "%s cannot be a '%.100s' here", policy_parts[part].name,
                         Py_TYPE(value)->tp_name);
        }
        Py_DECREF(value);
        if (made == NULL) {
            return -1;
        }
        value = made;
    }
    Py_XSETREF(*field, value);
    return 0;
}

static const struct {
    const char *name;
    size_t offset;
} policy_amounts[] = {
    {"_Cache__maxsize", offsetof(Policy, maxsize)},
    {"_Cache__currsize", offsetof(Policy, currsize)},
    {"_small_most", offsetof(Policy, small_most)},
    {"_main_most", offsetof(Policy, main_most)},
};

static PyObject *
policy_get_amount(PyObject *self, void *closure)
{
    return amount_get((Amount *)((char *)self + policy_amounts[(intptr_t)closure].offset));
}

static int
policy_set_amount(PyObject *self, PyObject *value, void *closure)
{
    return amount_set((Amount *)((char *)self + policy_amounts[(intptr_t)closure].offset), value,
                      policy_amounts[(intptr_t)closure].name);
}

static int
policy_traverse(PyObject *self, visitproc visit, void *arg)
{
    Policy *policy = (Policy *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(policy->index);
    Py_VISIT(policy->leaving);
    Py_VISIT(policy->ghost);
    Py_VISIT(policy->share);
    Py_VISIT(policy->small);
    Py_VISIT(policy->main);
    Py_VISIT(policy->maxsize.other);
    Py_VISIT(policy->currsize.other);
    Py_VISIT(policy->small_most.other);
    Py_VISIT(policy->main_most.other);
    return 0;
}

static int
policy_clear(PyObject *self)
{
    Policy *policy = (Policy *)self;
    Py_CLEAR(policy->share); /* its links first */
    Py_CLEAR(policy->index);
    Py_CLEAR(policy->leaving);
    Py_CLEAR(policy->ghost);
    Py_CLEAR(policy->small);
    Py_CLEAR(policy->main);
    Py_CLEAR(policy->maxsize.other);
    Py_CLEAR(policy->currsize.other);
    Py_CLEAR(policy->small_most.other);
    Py_CLEAR(policy->main_most.other);
    return 0;
}

static void
policy_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    policy_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef policy_members[] = {
    {"_Cache__data", T_OBJECT_EX, offsetof(Policy, index), 0, NULL},
    {"leaving", T_OBJECT_EX, offsetof(Policy, leaving), 0, NULL},
    {"_filled", T_BOOL, offsetof(Policy, filled), 0, NULL},
    {"kind", T_BYTE, offsetof(Policy, kind), 0, NULL},
    {"odd", T_BOOL, offsetof(Policy, odd), 0, NULL},
    {NULL},
};
static PyGetSetDef policy_getset[] = {
    {"ring", policy_get_part, policy_set_part, NULL, (void *)ATTRIBUTE_SMALL},
    {"_small", policy_get_part, policy_set_part, NULL, (void *)ATTRIBUTE_SMALL},
    {"_main", policy_get_part, policy_set_part, NULL, (void *)ATTRIBUTE_MAIN},
    {"_ghost", policy_get_part, policy_set_part, NULL, (void *)ATTRIBUTE_GHOST},
    {"_share", policy_get_part, policy_set_part, NULL, (void *)ATTRIBUTE_SHARE},
    {"_Cache__maxsize", policy_get_amount, policy_set_amount, NULL, (void *)0},
    {"_Cache__currsize", policy_get_amount, policy_set_amount, NULL, (void *)1},
    {"_small_most", policy_get_amount, policy_set_amount, NULL, (void *)2},
    {"_main_most", policy_get_amount, policy_set_amount, NULL, (void *)3},
    {NULL},
};
static PyMethodDef policy_methods[] = {
    {"recall_in_c", policy_recall, METH_O, NULL},
    {"note_key", policy_note_key, METH_O, NULL},
    {"choose_in_c", policy_choose, METH_NOARGS, NULL},
    {"hang_in_c", (PyCFunction)(void (*)(void))policy_hang, METH_FASTCALL, NULL},
    {"take_down_in_c", policy_take_down, METH_O, NULL},
    {"exchange_in_c", (PyCFunction)(void (*)(void))policy_exchange, METH_FASTCALL, NULL},
    {NULL},
};
static PyType_Slot policy_slots[] = {
    {Py_tp_dealloc, policy_dealloc}, {Py_tp_traverse, policy_traverse}, {Py_tp_clear, policy_clear},
    {Py_tp_members, policy_members}, {Py_tp_getset, policy_getset}, {Py_tp_methods, policy_methods}, {0, NULL},
};
static PyType_Spec policy_spec = {
    "memo._native._speed.Policy", sizeof(Policy), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    policy_slots,
};

/* -- section */

static PyObject *
count_visited_for(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(((State *)PyModule_GetState(module))->heavy);
}

static PyMethodDef nodes_functions[] = {
    {"visited_for", count_visited_for, METH_NOARGS,
     "How many entries live that the collector does not know, and whose queues visit what they hold."},
    {NULL},
};

/* Tell copyreg what attributes there are, as a class in Python would. */
static int
name_attributes(PyTypeObject *type, const char *format, const char *a, const char *b, const char *c, const char *d)
{
    PyObject *names = Py_BuildValue(format, a, b, c, d);
    int set = names == NULL ? -1 : PyObject_SetAttrString((PyObject *)type, "__slots__", names);
    Py_XDECREF(names);
    return set;
}

static int
add_nodes(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if ((state->Node = add_type(module, &node_spec, NULL)) == NULL
        || (state->Mark = add_type(module, &mark_spec, (PyObject *)state->Node)) == NULL
        || (state->Queue = add_type(module, &queue_spec, (PyObject *)state->Node)) == NULL
        || (state->Entry = add_type(module, &entry_spec, (PyObject *)state->Node)) == NULL
        || (state->TrackedEntry = add_type(module, &tracked_entry_spec, (PyObject *)state->Entry)) == NULL
        || (state->Ghost = add_type(module, &ghost_spec, NULL)) == NULL
        || (state->Share = add_type(module, &share_spec, NULL)) == NULL
        || (state->LargeTable = add_type(module, &large_spec, NULL)) == NULL
        || (state->LargeWalk = add_type(module, &large_walk_spec, NULL)) == NULL
        || (state->Policy = add_type(module, &policy_spec, NULL)) == NULL) {
        return -1;
    }
    if (name_attributes(state->Node, "(ssss)", "hits", "key", "mark", "time") < 0
        || name_attributes(state->Entry, "(ssss)", "counted", "deadline", "stored", "value") < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, nodes_functions);
}

/* ========================================================================================================= 3 Store
 *
 * What a miss touches of a store and of the running calls, whose objects are Python's: C reads and writes their slots.
 *
 * - Where a slot lies its class says, once (know()).  Whoever is handed such an object has checked its class.
 * - A slot owns what it refers to, as any attribute does.
 * - C never takes the lock of a store.  What it does between two possible calls of user code nobody else sees half done;
 *   so it is enough that nobody is in the middle of something, which is when the lock is free.
 */

#define SLOT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* Put a value, whose reference is taken over, into a slot that refers to something without a finalizer. */
static inline void
fill_slot(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    PyObject *old = SLOT(object, offset);
    SLOT(object, offset) = value;
    Py_XDECREF(old);
}

static void
count_anew(PyObject *object, Py_ssize_t offset, long long more)
{
    PyObject *number = SLOT(object, offset);
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    PyObject *sum = overflow ? NULL : PyLong_FromLongLong(value + more);
    if (sum == NULL) {
        PyErr_Clear();
        return;
    }
    fill_slot(object, offset, sum);
}

/* Add to the count in a slot.  It runs no code of the user's, and fails at nothing but the end of all memory: that count
 * is lost then.  An integer that nobody but the slot has is changed in place. */
static inline void
count(PyObject *object, Py_ssize_t offset, long long more)
{
    PyObject *number = SLOT(object, offset);
    if (number == NULL || !PyLong_CheckExact(number)) {
        return;
    }
#if PY_VERSION_HEX >= 0x030C0000
    int is_digit = ((PyLongObject *)number)->long_value.lv_tag == 1 << 3;
    digit *only = ((PyLongObject *)number)->long_value.ob_digit;
#else
    int is_digit = Py_SIZE(number) == 1;
    digit *only = ((PyLongObject *)number)->ob_digit;
#endif
    if (is_digit && Py_REFCNT(number) == 1 && more > 0 && *only + more < 1 << 30) {
        *only += (digit)more;
        return;
    }
    count_anew(object, offset, more);
}

/* Add to the sum in a slot, likewise. */
static void
add_seconds(PyObject *object, Py_ssize_t offset, double more)
{
    PyObject *number = SLOT(object, offset);
    if (number == NULL || !PyFloat_CheckExact(number)) {
        return;
    }
    if (Py_REFCNT(number) == 1) {
        ((PyFloatObject *)number)->ob_fval += more;
        return;
    }
    PyObject *sum = PyFloat_FromDouble(PyFloat_AS_DOUBLE(number) + more);
    if (sum == NULL) {
        PyErr_Clear();
        return;
    }
    fill_slot(object, offset, sum);
}

/* Learn a class, and with *slot* where that lies; a class that is not among *given* is left for later. */
static int
know_class(PyObject *given, const char *name, PyObject **kept)
{
    PyObject *kind = PyDict_GetItemString(given, name);
    if (kind != NULL) {
        Py_XSETREF(*kept, Py_NewRef(kind));
    }
    return 0;
}

static int
know_slot(PyObject *given, const char *name, const char *slot, Py_ssize_t *offset)
{
    PyObject *kind = PyDict_GetItemString(given, name);
    if (kind == NULL) {
        return 0;
    }
    PyObject *found = PyObject_GetAttrString(kind, slot);
    if (found == NULL) {
        return -1;
    }
    PyMemberDef *member = Py_IS_TYPE(found, &PyMemberDescr_Type) ? ((PyMemberDescrObject *)found)->d_member : NULL;
    if (member == NULL || member->type != T_OBJECT_EX) {
        PyErr_Format(PyExc_TypeError, "%s.%s is no slot; give the class __slots__", name, slot);
        Py_DECREF(found);
        return -1;
    }
    *offset = member->offset;
    Py_DECREF(found);
    return 0;
}

PyDoc_STRVAR(know_doc, "Learn classes of Python, and where their slots lie, and objects that C compares with.");

static PyObject *
know(PyObject *module, PyObject *args, PyObject *given)
{
    State *state = (State *)PyModule_GetState(module);
    if (PyTuple_GET_SIZE(args) || given == NULL) {
        PyErr_SetString(PyExc_TypeError, "know() takes keyword arguments");
        return NULL;
    }
#define V(name) if (know_class(given, #name, &state->name) < 0) { return NULL; }
    STORE_OBJECTS(V)
    FLIGHTS_OBJECTS(V)
    PROXY_OBJECTS(V)
    COROUTINE_OBJECTS(V)
#undef V
#define V(name, slot) if (know_slot(given, #name, #slot, &state->at_##name##_##slot) < 0) { return NULL; }
    STORE_SLOTS(V)
    FLIGHTS_SLOTS(V)
    COROUTINE_SLOTS(V)
#undef V
    Py_RETURN_NONE;
}

/* A number that a module in Python goes by, read where it reads that, since tests make such numbers small. */
static double
number_of(PyObject *module, PyObject *name)
{
    PyObject *number = module == NULL ? NULL : PyDict_GetItemWithError(module, name);
    return number != NULL && PyLong_CheckExact(number) ? PyLong_AsDouble(number) : NAN;
}

/* Whether an index that is a dictionary goes on as a LargeTable with another key: one of so many keys, in a store of at most
 * *most*. */
static inline int
goes_on_in_parts(State *state, Py_ssize_t size, PyObject *most)
{
    double bound = most == NULL ? NAN : PyFloat_CheckExact(most) ? PyFloat_AS_DOUBLE(most)
        : PyLong_CheckExact(most) ? PyLong_AsDouble(most) : NAN;
    return !((double)size >= bound /* a key leaves for each that comes */
        || (double)size < number_of(state->in_own_shelf, state->MOST_name)
        || bound <= number_of(state->in_shelf, state->WHOLE_name));
}

/* Whether *object* is of a class that know() was told of. */
static inline int
is_known(PyObject *object, PyObject *kind)
{
    return kind != NULL && PyType_Check(kind) && PyObject_TypeCheck(object, (PyTypeObject *)kind);
}

/* The beginning of the interpreter's own RLock, which has no other way of being asked whether anybody holds it. */
typedef struct {
    PyObject_HEAD
    PyThread_type_lock gate;
#if PY_VERSION_HEX >= 0x030D0000
    unsigned long long owner;
#else
    unsigned long owner;
#endif
    unsigned long count;
} RLockView;

/* Whether nobody holds *lock*; of one that is not the interpreter's own nobody knows. */
static inline int
lock_is_free(State *state, PyObject *lock)
{
    return (PyObject *)Py_TYPE(lock) == state->RLock && ((RLockView *)lock)->count == 0;
}

/* Learn whether an RLock is what it is thought to be; if not, none is ever found free. */
static int
try_lock(State *state)
{
    PyObject *threads = PyImport_ImportModule("_thread");
    PyObject *kind = threads == NULL ? NULL : PyObject_GetAttrString(threads, "RLock");
    PyObject *lock = kind == NULL ? NULL : PyObject_CallNoArgs(kind);
    Py_XDECREF(threads);
    Py_XDECREF(kind);
    if (lock == NULL) {
        return -1;
    }
    RLockView *view = (RLockView *)lock;
    unsigned long me = PyThread_get_thread_ident();
    int fits = strcmp(Py_TYPE(lock)->tp_name, "_thread.RLock") == 0
        && Py_TYPE(lock)->tp_basicsize >= (Py_ssize_t)sizeof(RLockView) && view->count == 0;
    for (unsigned long times = 1; fits && times <= 2; times++) {
        PyObject *done = PyObject_CallMethod(lock, "acquire", NULL);
        if (done == NULL) {
            Py_DECREF(lock);
            return -1;
        }
        Py_DECREF(done);
        fits = view->count == times && view->owner == me;
    }
    if (fits) {
        state->RLock = Py_NewRef((PyObject *)Py_TYPE(lock));
    }
    Py_DECREF(lock);
    return 0;
}

PyDoc_STRVAR(add_up_doc, "Have the figures of a store count the hits of these entries that they do not have yet.");

/* add_up(figures, entries): as Figures.add_up() does with each of a list of entries that are never stale; called under
 * the store's lock.  All of it is one step. */
static PyObject *
add_up(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    State *state = (State *)PyModule_GetState(module);
    if (nargs != 2 || !is_known(args[0], state->Figures) || !PyList_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "add_up() takes the figures of a store and a list of its entries");
        return NULL;
    }
    PyObject **entries = ((PyListObject *)args[1])->ob_item;
    Py_ssize_t length = PyList_GET_SIZE(args[1]);
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!is_entry(state, entries[i])) {
            PyErr_Format(PyExc_TypeError, "%R is no entry of a store", entries[i]);
            return NULL;
        }
    }
    uint64_t more = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        Entry *entry = (Entry *)entries[i];
        uint64_t hits = entry_uncounted(entry);
        if (hits) {
            more += hits;
            entry->node.counted = entry->node.hits;
        }
    }
    if (more) {
        count(args[0], state->at_Figures_seen_hits, (long long)more);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(tell_evictions_doc, "tell_evictions(whether): have what leaves a store leave it in Python alone, or not.");

static PyObject *
tell_evictions(PyObject *module, PyObject *whether)
{
    int truth = PyObject_IsTrue(whether);
    if (truth < 0) {
        return NULL;
    }
    ((State *)PyModule_GetState(module))->tells_evictions = truth;
    Py_RETURN_NONE;
}

static PyMethodDef store_functions[] = {
    {"tell_evictions", tell_evictions, METH_O, tell_evictions_doc},
    {"add_up", (PyCFunction)(void (*)(void))add_up, METH_FASTCALL, add_up_doc},
    {NULL},
};

static int
add_store(PyObject *module)
{
    State *state = (State *)PyModule_GetState(module);
    state->WHOLE_name = PyUnicode_InternFromString("WHOLE");
    state->MOST_name = PyUnicode_InternFromString("MOST");
    state->LOT_name = PyUnicode_InternFromString("LOT");
    return state->WHOLE_name == NULL || state->MOST_name == NULL || state->LOT_name == NULL || try_lock(state) < 0
        ? -1 : PyModule_AddFunctions(module, store_functions);
}

/* ======================================================================================================= 4 Flights
 *
 * A miss that nobody else leads, from its begin to its end: what the generated wrapper and ThreadFlights (enter, finish,
 * failed) do, as far as the call is alone.
 *
 * - A flight is Python's InFlight, born here as born() has it.  Once it is in the table, whoever finds it there does with
 *   it what he likes, and C looks again after each call of user code.
 * - C begins only where nothing but plain keys can be compared, so that no look-up runs user code: a miss is declined
 *   before anything has happened, or it has begun, and then C or the Python functions end it, with the same flight.
 * - Between the look whether it may end here and the end there is no call.
 * - A Leading owns what it refers to, none of which refers to it.  A call owns the Leading, the function, the key and the
 *   flight for as long as it runs; its arguments belong to the caller.
 */

/* A call of such a length of its table of running calls is left to Python: each key there would have to be looked at. */
#define MOST_RUNNING 64

#define LEADING_OBJECTS(V) V(clock) V(table) V(known) V(counters) V(lock) V(finish) V(failed) V(refuse) V(name) \
    V(wake_all) V(begin) V(shelf) V(changes) V(owners) V(figures) V(counts)

/* What leads the misses of one function, and what that takes: `begin` is NULL where nobody watches, `shelf` where no results
 * are kept, what follows it where Python ends each load. */
typedef struct {
    PyObject_HEAD
#define V(name) PyObject *name;
    LEADING_OBJECTS(V)
#undef V
    double life_s;
    int about;        /* a few hundredths of a second are nothing to the age of its running calls */
    PyObject *spare;  /* a flight that has ended, to serve again; NULL: none */
    unsigned long me; /* the thread that led last, and its identifier as an object */
    PyObject *me_object;
} Leading;

/* -- time, and what is compared */

/* The exact time of a clock of a function: 1, 0 for a doubt, -1 with the exception that the clock raised. */
static int
exact_time(State *state, PyObject *read, double *now)
{
#ifdef CLOCK_MONOTONIC
    struct timespec time;
    if (read == state->monotonic && PyCFunction_GET_FUNCTION(read) == state->monotonic_in_c
        && clock_gettime(CLOCK_MONOTONIC, &time) == 0) {
        /* as time.monotonic() makes a number of it */
        *now = (double)((int64_t)time.tv_sec * 1000000000 + time.tv_nsec) / 1e9;
        return 1;
    }
#endif
    Py_INCREF(read);
    PyObject *answer = PyObject_CallNoArgs(read);
    Py_DECREF(read);
    if (answer == NULL) {
        return -1;
    }
    int is_float = PyFloat_CheckExact(answer);
    if (is_float) {
        *now = PyFloat_AS_DOUBLE(answer);
    }
    Py_DECREF(answer);
    return is_float;
}

/* Likewise, to a few hundredths of a second, for what need not be known better. */
static inline int
about_time(State *state, PyObject *read, double *now)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec time;
    if (read == state->monotonic && PyCFunction_GET_FUNCTION(read) == state->monotonic_in_c
        && clock_gettime(CLOCK_MONOTONIC_COARSE, &time) == 0) {
        *now = (double)((int64_t)time.tv_sec * 1000000000 + time.tv_nsec) / 1e9;
        return 1;
    }
#endif
    return exact_time(state, read, now);
}

/* is_plain() of a key that is no text and no number. */
static int
is_plain_otherwise(State *state, PyObject *key)
{
    PyTypeObject *kind = Py_TYPE(key);
    if (kind == &PyBytes_Type || kind == &PyFloat_Type
        || kind == &PyBool_Type || key == Py_None || kind == &PyComplex_Type || kind == &PyType_Type
        || (PyObject *)kind == state->InstanceRef) {
        return 1;
    }
    if (kind != &PyTuple_Type) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
        if (!is_plain(state, PyTuple_GET_ITEM(key, i))) {
            return 0;
        }
    }
    return 1;
}

/* Whether no key in *table*, of which so many are known to be plain, runs code of the user's when a plain one is looked
 * up. */
static int
compares_plainly(State *state, PyObject *table, Py_ssize_t plain)
{
    Py_ssize_t size = PyDict_GET_SIZE(table), at = 0;
    PyObject *key;
    if (size > MOST_RUNNING) {
        return 0;
    }
    while (size > plain && PyDict_Next(table, &at, &key, NULL)) {
        if (!is_plain(state, key)) {
            return 0;
        }
    }
    return 1;
}

/* Whether there never was a key in the tables of *l*, which keep results, that is not plain. */
static inline int
has_no_boxes(State *state, Leading *l)
{
    PyObject *boxes = SLOT(l->known, state->at_Known__tables); /* of the keys that are not plain, if there ever were any */
    return boxes != NULL && PyDict_CheckExact(boxes) && PyDict_GET_SIZE(boxes) == 0;
}

/* Whether nothing in the tables of *l* runs code of the user's when a plain key is looked up there. */
static inline int
knows_plain_keys(State *state, Leading *l)
{
    /* without a store wrappers put keys into its table as they come */
    return l->shelf == NULL ? compares_plainly(state, l->table, 0) : has_no_boxes(state, l);
}

/* Whether a result need not be looked at: 1, 0, or -1 with an exception. */
static inline int
is_plain_value(State *state, PyObject *value)
{
    PyTypeObject *kind = Py_TYPE(value);
    if (kind == &PyUnicode_Type || kind == &PyLong_Type || value == Py_None || kind == &PyDict_Type
        || kind == &PyTuple_Type || kind == &PyList_Type || kind == &PyFloat_Type) {
        return 1;
    }
    return PySet_Contains(state->PLAIN, (PyObject *)kind);
}

/* -- birth */

/* The identifier of this thread; borrowed, NULL with an exception. */
static PyObject *
thread_number(Leading *l)
{
    unsigned long me = PyThread_get_thread_ident();
    if (l->me_object == NULL || l->me != me) {
        PyObject *object = PyLong_FromUnsignedLong(me);
        if (object == NULL) {
            return NULL;
        }
        l->me = me;
        Py_XSETREF(l->me_object, object);
    }
    return l->me_object;
}

/* Who calls: a new reference; NULL without an exception where the program may use greenlets, which Python tells apart. */
static PyObject *
thread_here(State *state, Leading *l)
{
    if (!PyList_CheckExact(state->who) || PyList_GET_SIZE(state->who) != 1
        || PyList_GET_ITEM(state->who, 0) != state->thread_ident || !PyDict_CheckExact(state->modules)) {
        return NULL;
    }
    _Py_COMP_DIAG_PUSH
    _Py_COMP_DIAG_IGNORE_DEPR_DECLS
    uint64_t version = ((PyDictObject *)state->modules)->ma_version_tag;
    _Py_COMP_DIAG_POP
    if (version != state->modules_seen) {
        if (PyDict_GetItemWithError(state->modules, state->greenlet) != NULL) {
            return NULL;
        }
        state->modules_seen = version;
    }
    return Py_XNewRef(thread_number(l));
}

/* A flight as born() makes it for a call, of *key*, led by *leader*, begun at *now*; takes the reference to *leader*. */
static PyObject *
flight_born(State *state, Leading *l, PyObject *key, PyObject *leader, double now)
{
    PyObject *flight = l->spare;
    if (flight != NULL) { /* it is as it was at its birth, but for these */
        l->spare = NULL;
        PyObject *started = SLOT(flight, state->at_InFlight_started);
        if (Py_REFCNT(started) == 1) {
            ((PyFloatObject *)started)->ob_fval = now;
        }
        else if ((started = PyFloat_FromDouble(now)) != NULL) {
            fill_slot(flight, state->at_InFlight_started, started);
        }
        fill_slot(flight, state->at_InFlight_leader, leader);
        SLOT(flight, state->at_InFlight_key) = Py_NewRef(key);
        if (started == NULL) {
            Py_CLEAR(flight);
        }
        return flight;
    }
    PyTypeObject *kind = (PyTypeObject *)state->InFlight;
    PyObject *started = PyFloat_FromDouble(now);
    flight = started == NULL ? NULL : kind->tp_alloc(kind, 0);
    if (flight == NULL) {
        Py_DECREF(leader);
        Py_XDECREF(started);
        return NULL;
    }
#define SET(slot, value) SLOT(flight, state->at_InFlight_##slot) = Py_NewRef(value)
    SLOT(flight, state->at_InFlight_started) = started;
    SLOT(flight, state->at_InFlight_leader) = leader;
    SET(key, key);
    SET(over, Py_False);
    SET(led, Py_False);
    SET(fenced, Py_False);
    SET(current, Py_True);
    SET(purpose, state->CALL);
    SET(tags, state->no_tags);
    SET(waiters, Py_None);
    SET(present, state->zero);
    SET(joined, state->zero);
    SET(state, state->RUNNING);
#undef SET
    return flight;
}

/* Let go of a flight; one that ended as most do, alone, and that nobody else has, serves again. */
static void
flight_done(State *state, Leading *l, PyObject *flight)
{
#define IS(slot, expected) (SLOT(flight, state->at_InFlight_##slot) == (expected))
    if (Py_REFCNT(flight) == 1 && l->spare == NULL && IS(state, state->RETURNED) && IS(waiters, Py_None)
        && IS(present, state->zero) && IS(joined, state->zero) && IS(over, Py_False) && IS(fenced, Py_False)
        && IS(tags, state->no_tags) && IS(purpose, state->CALL) && IS(error, NULL) && IS(traceback, NULL)
        && IS(heir, NULL) && IS(was_current, NULL) && IS(after, NULL)
        && PyFloat_CheckExact(SLOT(flight, state->at_InFlight_started))) {
        PyObject *value = SLOT(flight, state->at_InFlight_value), *key = SLOT(flight, state->at_InFlight_key);
        SLOT(flight, state->at_InFlight_value) = SLOT(flight, state->at_InFlight_key) = NULL;
        fill_slot(flight, state->at_InFlight_led, Py_NewRef(Py_False));
        fill_slot(flight, state->at_InFlight_current, Py_NewRef(Py_True));
        fill_slot(flight, state->at_InFlight_state, Py_NewRef(state->RUNNING));
        l->spare = flight;
        if (l->begin != NULL) {
            Py_CLEAR(SLOT(flight, state->at_InFlight_load));
        }
        Py_XDECREF(value);
        Py_XDECREF(key);
        return;
    }
#undef IS
    Py_DECREF(flight);
}

/* Whether *flight* is in the table as the current one of its key, which is plain. */
static inline int
is_current(PyObject *table, PyObject *key, Py_hash_t hash, PyObject *flight)
{
    return _PyDict_GetItem_KnownHash(table, key, hash) == flight;
}

/* Take *flight* out, which is the current one.  The caller has references to it and to its key. */
static inline void
take_out(PyObject *table, PyObject *key)
{
    if (PyDict_DelItem(table, key) < 0) {
        PyErr_Clear();
    }
}

/* When a flight began. */
static inline double
started_at(State *state, PyObject *flight)
{
    PyObject *started = SLOT(flight, state->at_InFlight_started);
    return started != NULL && PyFloat_CheckExact(started) ? PyFloat_AS_DOUBLE(started) : NAN;
}

/* -- a bad end */

/* The exception that is set, whole, which is not set any more. */
static PyObject *
taken_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *kind, *error, *traceback;
    PyErr_Fetch(&kind, &error, &traceback);
    PyErr_NormalizeException(&kind, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    Py_XDECREF(kind);
    Py_XDECREF(traceback);
    return error;
#endif
}

/* Set an exception again; takes the reference. */
static void
raise_again(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

/* Abandon a flight whose end failed() could not tell, without a call of anything in Python, as FAILED does; those who
 * wait for it see that at the next look. */
static void
abandon_flight(State *state, Leading *l, PyObject *flight)
{
    if (SLOT(flight, state->at_InFlight_state) != state->RUNNING) {
        return;
    }
    PyObject *key = SLOT(flight, state->at_InFlight_key), *was_current = Py_False;
    if (SLOT(flight, state->at_InFlight_current) != NULL && key != NULL) {
        fill_slot(flight, state->at_InFlight_current, NULL);
        Py_INCREF(key);
        if (PyDict_GetItemWithError(l->table, key) == flight && PyDict_DelItem(l->table, key) == 0) {
            was_current = Py_True;
        }
        Py_DECREF(key);
        PyErr_Clear();
    }
    fill_slot(flight, state->at_InFlight_was_current, Py_NewRef(was_current));
    fill_slot(flight, state->at_InFlight_heir, Py_NewRef(Py_None));
    fill_slot(flight, state->at_InFlight_state, Py_NewRef(state->ABANDONED));
    if (SLOT(flight, state->at_InFlight_led) == Py_True) {
        count(l->counters, state->at_Counters_cancelled, 1);
    }
}

/* What *callee* returns of two arguments, called as within an `except` clause that handles *error*: what it raises has that
 * for its context.  The innermost place alone is changed: PyErr_GetHandledException() would answer what some frame further
 * out handles. */
static PyObject *
call_handling(PyObject *error, PyObject *callee, PyObject *first, PyObject *second)
{
    _PyErr_StackItem *place = PyThreadState_Get()->exc_info;
    PyObject *handled = place->exc_value;
    place->exc_value = Py_NewRef(error);
    PyObject *result = PyObject_CallFunctionObjArgs(callee, first, second, NULL);
    Py_XSETREF(place->exc_value, handled);
    return result;
}

/* End a flight with the exception that is set, which stays set unless another takes its place. */
static void
flight_failed(State *state, Leading *l, PyObject *flight)
{
    PyObject *error = taken_error();
    fill_slot(flight, state->at_InFlight_over, Py_NewRef(Py_True));
    PyObject *done = call_handling(error, l->failed, flight, error);
    if (done == NULL) {
        Py_SETREF(error, taken_error());
        abandon_flight(state, l, flight);
    }
    Py_XDECREF(done);
    raise_again(error);
}

/* Tell those who watch that a load ends with the exception that is set, which stays set unless another takes its place, as
 * Watch.lead() does. */
static void
load_failed(State *state, PyObject *load)
{
    PyObject *error = taken_error();
    PyObject *done = call_handling(error, state->end_load, load, error);
    if (done == NULL) { /* it goes on where it was cut short */
        PyObject *other = taken_error();
        done = call_handling(other, state->end_load, load, error);
        Py_SETREF(error, done != NULL ? other : taken_error());
        if (done == NULL) {
            Py_DECREF(other);
        }
    }
    Py_XDECREF(done);
    raise_again(error);
}

/* -- a good end */

/* Have Python end a flight whose work returned *value*. */
static inline PyObject *
finished_in_python(Leading *l, PyObject *flight, PyObject *value)
{
    return PyObject_CallFunctionObjArgs(l->finish, flight, value, NULL);
}

/* Look at a result; -1 with an exception: it is refused. */
static inline int
is_looked_at(State *state, Leading *l, PyObject *value)
{
    int plain = is_plain_value(state, value);
    if (plain == 0) {
        PyObject *done = PyObject_CallFunctionObjArgs(l->refuse, l->name, value, NULL);
        plain = done == NULL ? -1 : 1;
        Py_XDECREF(done);
    }
    return plain;
}

/* End a flight of which nothing is kept; *value* is the caller's.  NULL with an exception: it has failed by that. */
static PyObject *
flight_shared(State *state, Leading *l, PyObject *flight, PyObject *key, PyObject *value)
{
    if (is_looked_at(state, l, value) < 0) {
        return NULL;
    }
    if (SLOT(flight, state->at_InFlight_current) == NULL || !compares_plainly(state, l->table, 1)) {
        return finished_in_python(l, flight, value); /* another took it out, or is about to compare keys */
    }
    fill_slot(flight, state->at_InFlight_current, NULL);
    take_out(l->table, key);
    count(l->counters, state->at_Counters_completed, 1);
    fill_slot(flight, state->at_InFlight_value, Py_NewRef(value));
    fill_slot(flight, state->at_InFlight_state, Py_NewRef(state->RETURNED));
    if (SLOT(flight, state->at_InFlight_waiters) != Py_None) {
        PyObject *done = PyObject_CallFunctionObjArgs(l->wake_all, flight, l->lock, NULL);
        if (done == NULL) {
            return NULL;
        }
        Py_DECREF(done);
    }
    return Py_NewRef(value);
}

/* What the store has of a plain key: 0 nothing, 1 an entry past its life, -1 another one, or nobody knows. */
static inline int
look_again(State *state, Leading *l, PyObject *key, Py_hash_t hash, double now)
{
    PyObject *index = SLOT(l->shelf, state->at_Shelf_index);
    if (index == NULL || !is_index(state, index)) {
        return -1;
    }
    PyObject *found = index_find(state, index, key, hash);
    if (found == NULL) {
        return 0;
    }
    return l->changes != NULL && is_entry(state, found) && now >= ((Entry *)found)->deadline ? 1 : -1;
}

/* -- entries of methods, which are also listed with the instance that their key begins with (memo/_store/owners.py) */

/* Where the entries of a key's instance are listed, borrowed; NULL: nowhere. */
static PyObject *
owner_table(State *state, PyObject *key)
{
    PyObject *token = PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) ? PyTuple_GET_ITEM(key, 0) : NULL;
    return token != NULL && (PyObject *)Py_TYPE(token) == state->InstanceRef
        ? SLOT(token, state->at_InstanceRef_table) : NULL;
}

/* A key as it stands there, without the token: a new reference; NULL with an error set. */
static PyObject *
listed_key(PyObject *key)
{
    return PyTuple_GET_SIZE(key) == 2 ? Py_NewRef(PyTuple_GET_ITEM(key, 1)) : PyTuple_GetSlice(key, 1, PY_SSIZE_T_MAX);
}

/* Whether entries of the store are listed, now. */
static inline int
lists(State *state, Leading *l)
{
    return l->owners != NULL && SLOT(l->owners, state->at_Owners_apart) != Py_False;
}

/* Whether an entry of a key can be listed here and now; *rest* is that key as listed, NULL where it is not to be. */
static int
may_list(State *state, Leading *l, PyObject *key, PyObject *rest)
{
    if (rest == NULL) {
        return !lists(state, l);
    }
    PyObject *table = owner_table(state, key), *dead = SLOT(l->owners, state->at_Owners_dead);
    PyObject *lingering = SLOT(l->shelf, state->at_Shelf_lingering), *most = SLOT(l->shelf, state->at_Shelf_most);
    if (table == NULL || ((PyWeakReference *)PyTuple_GET_ITEM(key, 0))->wr_object == Py_None
        || SLOT(l->owners, state->at_Owners_instances) != Py_True || SLOT(l->owners, state->at_Owners_weak) != Py_False
        || SLOT(l->owners, state->at_Owners_listing) != state->Listed || dead == NULL || !PyList_CheckExact(dead)
        || PyList_GET_SIZE(dead) || lingering == NULL || !PyDict_CheckExact(lingering) || PyDict_GET_SIZE(lingering)
        || !is_index(state, table)) {
        return 0;
    }
    return !PyDict_CheckExact(table) || (double)PyDict_GET_SIZE(table) < number_of(state->in_large_table, state->MOST_name)
        || (most != NULL && PyLong_CheckExact(most)
            && PyLong_AsDouble(most) <= number_of(state->in_shelf, state->WHOLE_name)); /* else it goes on as a LargeTable */
}

/* List an entry, or (NULL) strike out *old*, under the key as listed.  -1 with an error set. */
static int
list_entry(State *state, PyObject *table, PyObject *rest, PyObject *entry, PyObject *old)
{
    Py_hash_t hash = PyObject_Hash(rest);
    if (!is_index(state, table) || (entry == NULL && index_find(state, table, rest, hash) != old)) {
        return 0;
    }
    if (!is_large(state, table)) {
        return entry == NULL ? PyDict_DelItem(table, rest) : PyDict_SetItem(table, rest, entry);
    }
    uintptr_t left = 0;
    int done = 0;
    if (entry == NULL) {
        left = large_del((LargeTable *)table, rest, hash);
    }
    else {
        done = large_put(state, (LargeTable *)table, rest, hash, entry, &left);
    }
    if (left != 0) {
        slot_drop(left);
    }
    return done;
}

/* List an entry that was put in, and strike out what left for it, unless that is NULL.  Without memory the store counts
 * as torn, which lists anew what is there. */
static void
list_exchange(State *state, Leading *l, PyObject *key, PyObject *rest, PyObject *entry, PyObject *victim)
{
    int done = list_entry(state, owner_table(state, key), rest, entry, NULL);
    PyObject *gone = victim == NULL ? NULL : ((Node *)victim)->key;
    PyObject *table = gone == NULL ? NULL : owner_table(state, gone);
    if (table != NULL) {
        PyObject *listed = listed_key(gone);
        done |= listed == NULL ? -1 : list_entry(state, table, listed, NULL, victim);
        Py_XDECREF(listed);
    }
    if (done < 0) {
        PyErr_Clear();
        fill_slot(l->changes, state->at_Changes_torn, Py_NewRef(Py_True));
    }
}

/* Whether the result of a flight may be put into the store here and now, for a new entry. */
static int
may_put(State *state, Leading *l, PyObject *flight, PyObject *key, Py_hash_t hash, double now)
{
    PyObject *put_off = l->changes == NULL ? NULL : SLOT(l->changes, state->at_Changes_put_off);
    PyObject *index = put_off == NULL ? NULL : SLOT(l->shelf, state->at_Shelf_index);
    return put_off != NULL && !state->tells_evictions && SLOT(flight, state->at_InFlight_waiters) == Py_None
        && SLOT(flight, state->at_InFlight_fenced) == Py_False
        && SLOT(flight, state->at_InFlight_state) == state->RUNNING
        && SLOT(l->changes, state->at_Changes_busy) == Py_False && SLOT(l->changes, state->at_Changes_torn) == Py_False
        && PyObject_Size(put_off) == 0 && lock_is_free(state, l->lock) && knows_plain_keys(state, l) && is_current(l->table, key, hash, flight)
        && look_again(state, l, key, hash, now) == 0
        && !(PyDict_CheckExact(index)
             && goes_on_in_parts(state, PyDict_GET_SIZE(index), SLOT(l->shelf, state->at_Shelf_most)));
}

/* Count an entry that made room, as Changes.put_lean() does. */
static void
count_victim(State *state, Leading *l, PyObject *victim, double now)
{
    Entry *entry = (Entry *)victim;
    uint64_t hits = entry_uncounted(entry);
    if (hits) {
        count(l->figures, state->at_Figures_seen_hits, (long long)hits);
        entry->node.counted = entry->node.hits;
    }
    if (now < entry->deadline) {
        count(l->figures, state->at_Figures_left_for_size, 1);
        return;
    }
    PyObject *left = SLOT(l->figures, state->at_Figures_left);
    PyObject *number = left == NULL ? NULL : PyDict_GetItemWithError(left, state->expired);
    PyObject *sum = number == NULL ? NULL : PyNumber_Add(number, state->one);
    if (sum == NULL || PyDict_SetItem(left, state->expired, sum) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(sum);
}

/* End a flight whose result is kept, as Loads.finish_lean() does; *value* is the caller's, *rest* the key as listed, or
 * NULL.  NULL with an exception: it has failed by that. */
static PyObject *
flight_stored(State *state, Leading *l, PyObject *flight, PyObject *key, Py_hash_t hash, PyObject *rest, PyObject *value)
{
    double now = 0;
    PyObject *clock = SLOT(l->clock, state->at_Clock_read);
    int plain = is_plain_value(state, value);
    if ((plain != 1 || clock != state->monotonic)
        && !(may_put(state, l, flight, key, hash, NAN) && may_list(state, l, key, rest))) {
        return finished_in_python(l, flight, value); /* before anything is asked that Python asks again */
    }
    plain = plain != 1 ? is_looked_at(state, l, value) : plain;
    int read = plain < 0 ? -1 : exact_time(state, clock, &now);
    if (read < 0) {
        return NULL;
    }
    PyObject *victim = NULL, *entry = read ? entry_new(state, rest != NULL, value, now, now + l->life_s) : NULL;
    if (entry == NULL) {
        PyErr_Clear(); /* there is no memory: Python will say so */
    }
    /* From here on nothing else runs: to be put in, listed, and to be at an end, is one step for everybody. */
    int collects = rest != NULL && PyGC_Disable(); /* a key as listed may be a new tuple */
    if (entry == NULL || !may_put(state, l, flight, key, hash, now) || !may_list(state, l, key, rest)
        || entry_put_lean(state, SLOT(l->shelf, state->at_Shelf_cache), key, hash, entry, &victim) < 0) {
        PyErr_Clear();
        if (collects) {
            PyGC_Enable();
        }
        Py_XDECREF(entry);
        return finished_in_python(l, flight, value);
    }
    if (rest != NULL) {
        list_exchange(state, l, key, rest, entry, victim);
    }
    take_out(l->table, key);
    add_seconds(l->counts, state->at_CallCounts_load_seconds, now - started_at(state, flight));
    count(l->counters, state->at_Counters_completed, 1);
    fill_slot(flight, state->at_InFlight_value, Py_NewRef(value));
    fill_slot(flight, state->at_InFlight_state, Py_NewRef(state->RETURNED));
    if (victim != NULL) {
        count_victim(state, l, victim, now);
    }
    if (collects) {
        PyGC_Enable();
    }
    /* All is done; what left may run code of the user's as it goes. */
    Py_DECREF(entry);
    Py_XDECREF(victim);
    return Py_NewRef(value);
}

static PyObject *
flight_kept(State *state, Leading *l, PyObject *flight, PyObject *key, Py_hash_t hash, PyObject *value)
{
    PyObject *rest = NULL;
    if (lists(state, l) && owner_table(state, key) != NULL && (rest = listed_key(key)) == NULL) {
        PyErr_Clear();
    }
    PyObject *result = flight_stored(state, l, flight, key, hash, rest, value);
    Py_XDECREF(rest);
    return result;
}

/* End a flight whose work returned *value*, which is the caller's: what its leader gets, a new reference.  NULL with an
 * exception: it has failed by that. */
static inline PyObject *
flight_ended(State *state, Leading *l, PyObject *flight, PyObject *key, Py_hash_t hash, PyObject *value)
{
    return l->shelf == NULL ? flight_shared(state, l, flight, key, value) : flight_kept(state, l, flight, key, hash, value);
}

/* -- a miss */

/* Have that read which storing a key of that hash will look at: of a small store it is at hand. */
static inline void
fetch_for_load(State *state, Leading *l, Py_hash_t hash)
{
    PyObject *index = l->shelf == NULL ? NULL : SLOT(l->shelf, state->at_Shelf_index);
    PyObject *cache = index == NULL || !is_large(state, index) ? NULL : SLOT(l->shelf, state->at_Shelf_cache);
    if (cache != NULL) {
        fetch_for_exchange(state, cache, hash);
    }
}

/* Call a function whose executions are told to somebody, as Watch.lead() does, and end the flight if it returns: what its
 * leader gets.  NULL with an exception: the flight has failed by that. */
static PyObject *
lead_watched(State *state, Leading *l, PyObject *flight, PyObject *key, Py_hash_t hash, PyObject *function,
             PyObject *const *values, size_t positional, PyObject *kwnames)
{
    PyObject *load = PyObject_CallOneArg(l->begin, flight), *result = NULL;
    if (load != NULL) {
        PyObject *value = PyObject_Vectorcall(function, values, positional, kwnames);
        if (value != NULL) {
            result = flight_ended(state, l, flight, key, hash, value);
            Py_DECREF(value);
        }
    }
    else {
        load = Py_XNewRef(SLOT(flight, state->at_InFlight_load)); /* what has begun of it */
    }
    if (result != NULL) {
        PyObject *done = PyObject_CallFunctionObjArgs(state->end_load, load, Py_None, NULL);
        if (done == NULL) {
            Py_CLEAR(result);
        }
        Py_XDECREF(done);
    }
    if (result == NULL && load != NULL) {
        load_failed(state, load);
    }
    Py_XDECREF(load);
    return result;
}

/* Lead a call that found nothing, if that is a case for C.
 *
 * `key` is plain (is_plain()), `hash` its hash, `now` the exact time of the look-up, or not a number: it is read here.
 * `values` are the arguments as the function takes them, the first `positional` of them without names, the others as
 * `kwnames` has them.
 *
 * Returns a new reference to what the caller gets; NULL with an exception: what it raises; NULL without one: nothing has
 * happened, and the generated wrapper is to answer. */
static PyObject *
lead(State *state, PyObject *leading, PyObject *function, PyObject *key, Py_hash_t hash, double now,
     PyObject *const *values, size_t positional, PyObject *kwnames)
{
    Leading *l = (Leading *)leading;
    PyObject *flight = NULL, *result = NULL;
    Py_INCREF(l);
    Py_INCREF(function);
    Py_INCREF(key);
    PyObject *me = thread_here(state, l);
    if (me == NULL) {
        goto done;
    }
    if (isnan(now)) {
        PyObject *read = SLOT(l->clock, state->at_Clock_read);
        if ((l->about ? about_time(state, read, &now) : exact_time(state, read, &now)) <= 0) {
            Py_DECREF(me);
            goto done;
        }
    }
    flight = flight_born(state, l, key, me, now);
    if (flight == NULL || !knows_plain_keys(state, l)) {
        goto done;
    }
    /* From here to the call of the function nothing else runs. */
    if (l->shelf != NULL && look_again(state, l, key, hash, now) < 0) {
        goto done;
    }
    if (PyDict_SetDefault(l->table, key, flight) != flight) {
        goto done;
    }
    fill_slot(flight, state->at_InFlight_led, Py_NewRef(Py_True));
    count(l->counters, state->at_Counters_led, 1);
    fetch_for_load(state, l, hash);
    if (l->begin != NULL) {
        result = lead_watched(state, l, flight, key, hash, function, values, positional, kwnames);
    }
    else {
        PyObject *value = PyObject_Vectorcall(function, values, positional, kwnames);
        if (value != NULL) {
            result = flight_ended(state, l, flight, key, hash, value);
            Py_DECREF(value);
        }
    }
    if (result == NULL) {
        flight_failed(state, l, flight);
    }
done:
    if (flight != NULL) {
        flight_done(state, l, flight);
    }
    Py_DECREF(key);
    Py_DECREF(function);
    Py_DECREF(l);
    return result;
}

/* -- Leading */

static int
leading_traverse(Leading *l, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(l));
    Py_VISIT(l->spare);
#define V(name) Py_VISIT(l->name);
    LEADING_OBJECTS(V)
#undef V
    return 0;
}

static int
leading_clear(Leading *l)
{
    Py_CLEAR(l->spare);
#define V(name) Py_CLEAR(l->name);
    LEADING_OBJECTS(V)
#undef V
    return 0;
}

static void
leading_dealloc(Leading *l)
{
    PyTypeObject *kind = Py_TYPE(l);
    PyObject_GC_UnTrack(l);
    leading_clear(l);
    Py_CLEAR(l->me_object);
    kind->tp_free(l);
    Py_DECREF(kind);
}

static PyObject *
leading_new(PyTypeObject *kind, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {
        "clock", "table", "known", "counters", "lock", "finish", "failed", "refuse", "name", "wake_all", "begin", "about", "shelf", "lean",
        NULL,
    };
    State *state = state_of(kind);
    Leading *l = state == NULL ? NULL : (Leading *)kind->tp_alloc(kind, 0);
    PyObject *clock = NULL, *table = NULL, *known = NULL, *counters = NULL, *lock = NULL, *finish = NULL;
    PyObject *failed = NULL, *refuse = NULL, *name = NULL, *wake_all = NULL, *begin = NULL;
    PyObject *changes = NULL, *shelf = NULL, *owners = NULL, *figures = NULL, *counts = NULL;
    if (l == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO!OOOOOOOOOpO(OOOOd):Leading", names, &clock,
            &PyDict_Type, &table, &known, &counters, &lock, &finish, &failed, &refuse, &name, &wake_all, &begin, &l->about, &shelf,
            &changes, &owners, &figures, &counts, &l->life_s)) {
        Py_XDECREF(l);
        return NULL;
    }
    begin = begin == Py_None ? NULL : begin;
#define V(part) l->part = Py_XNewRef(part);
    LEADING_OBJECTS(V)
#undef V
    int fits = wake_all != NULL && (begin == NULL || state->end_load != NULL) && state->InFlight != NULL && is_known(clock, state->Clock) && is_known(known, state->Known)
        && is_known(counters, state->Counters);
    if (fits && shelf != NULL) {
        fits = is_known(shelf, state->Shelf);
    }
    if (fits && changes != NULL) {
        fits = shelf != NULL && is_known(changes, state->Changes) && is_known(owners, state->Owners)
            && is_known(figures, state->Figures) && is_known(counts, state->CallCounts);
    }
    if (!fits) {
        PyErr_SetString(PyExc_TypeError, "Leading: a part is missing, or of a class that know() was not told of");
        Py_DECREF(l);
        return NULL;
    }
    return (PyObject *)l;
}

PyDoc_STRVAR(lead_doc, "Lead a call of *function* with *key*, begun *now*, with the arguments that follow.\n\n"
    "Returns what the caller gets; itself, if that is no case for C: then nothing has happened.");

static PyObject *
leading_lead(Leading *l, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    State *state = state_of(Py_TYPE(l));
    double now = count < 3 ? 0 : PyFloat_AsDouble(args[2]);
    if (state == NULL || count < 3 || (now == -1 && PyErr_Occurred())) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "lead() takes a function, a key, a time, and the arguments of a call");
        }
        return NULL;
    }
    PyObject *result = NULL;
    if (is_plain(state, args[1])) {
        Py_hash_t hash = PyObject_Hash(args[1]);
        result = lead(state, (PyObject *)l, args[0], args[1], hash, now, args + 3, count - 3, kwnames);
    }
    return result == NULL && !PyErr_Occurred() ? Py_NewRef(l) : result;
}

static PyMethodDef leading_methods[] = {
    {"lead", (PyCFunction)(void (*)(void))leading_lead, METH_FASTCALL | METH_KEYWORDS, lead_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot leading_slots[] = {
    {Py_tp_doc, "What leads the misses of one function."},
    {Py_tp_new, leading_new},
    {Py_tp_dealloc, leading_dealloc},
    {Py_tp_traverse, leading_traverse},
    {Py_tp_clear, leading_clear},
    {Py_tp_methods, leading_methods},
    {0, NULL},
};

static PyType_Spec leading_spec = {
    .name = "memo._native._speed.Leading",
    .basicsize = sizeof(Leading),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = leading_slots,
};

static int
add_flights(PyObject *module)
{
    State *state = (State *)PyModule_GetState(module);
    PyObject *time = PyImport_ImportModule("time");
    state->monotonic = time == NULL ? NULL : PyObject_GetAttrString(time, "monotonic");
    Py_XDECREF(time);
    if (state->monotonic == NULL) {
        return -1;
    }
    state->monotonic_in_c = PyCFunction_CheckExact(state->monotonic) ? PyCFunction_GET_FUNCTION(state->monotonic) : NULL;
    state->greenlet = PyUnicode_InternFromString("greenlet");
    state->no_tags = PyTuple_New(0);
    state->zero = PyLong_FromLong(0);
    state->one = PyLong_FromLong(1);
    state->expired = PyUnicode_InternFromString("expired");
    state->Leading = add_type(module, &leading_spec, NULL);
    return state->greenlet == NULL || state->no_tags == NULL || state->zero == NULL || state->one == NULL
        || state->expired == NULL || state->Leading == NULL ? -1 : 0;
}

/* ========================================================================================================== 5 Call
 *
 * A call of a decorated function: binding, key, look-up, clock, count.
 *
 * A Recipe says how calls of a function are bound, what its keys consist of, and what else a hit involves.  It is made
 * in Python (memo/_call/recipes.py), never changes, and refers to nothing of the function.  A Call answers the calls of
 * one generated wrapper by a recipe.
 *
 * Invariants:
 *
 * - The truth are the wrapper's globals and defaults.  A Call has copies of the former, which it drops when it is marked
 *   stale, and reads anew at the next call.  Whatever changes the wrapper marks its Call in the same step, with no call
 *   and no jump between (memo/_call/wrapper.py).  Defaults are read from the wrapper at each call that needs them.
 * - Without a recipe, or where the globals hold what C does not know, every call goes to the wrapper.
 * - What a Call or its recipe held when a call began may be gone after any user code: whoever goes on by it then has a
 *   reference of its own, or looks anew.
 * - Between finding an entry and counting the hit no user code runs, so that no hit is lost.
 *
 * Who owns what: the decorated function its Call, the Call its wrapper, recipe and copies.  The wrapper does not know
 * its Call, and what writes the wrapper (Generated) knows it weakly, so that nothing is in a circle.
 */

#define MOST_PARAMETERS 16
#define MARGIN_S 0.1 /* the coarse clock decides nothing that lies nearer than this */

/* What stands for an argument in a key. */
enum Part {
    PART_VALUE = 'v', /* the value */
    PART_TOLD = 't',  /* the value, with its type unless that is among those which stand for themselves */
    PART_TYPE = 'y',  /* its type */
    PART_REST = '*',  /* the values of *args, as a tuple */
    PART_REST_TOLD = 'T',
    PART_REST_TYPES = 'Y',
    PART_EMPTY = '0', /* an empty tuple: the items of ** arguments, or their types; where there are some, it is a doubt */
    PART_WEAK = 'w',  /* its token */
    PART_LOOP = 'l',  /* the token of the event loop that runs */
    PART_MADE = 'k',  /* what key= makes of the call */
};

/* What a recipe may name of the wrapper's globals, in the order in which it names it. */
enum Word {
    WORD_INDEX, WORD_CLOCK, WORD_REFS, WORD_COPY, WORD_IDLE, WORD_MAKE, WORD_WEAK_REFS, WORD_LOOP_REFS, WORD_RUNNING_LOOP,
    WORD_RING,
    WORD_TOUCH, /* where the policy counts uses */
    WORD_LEADING, WORD_FUNCTION,
    WORD_LEAD_MADE, /* of key=, where results are kept or calls shared */
    WORD_INTAKE, WORD_FAIL, WORD_UNKEYED, WORD_UNTIMED, WORD_DROPPED, WORD_STORED, /* of windows */
    WORDS,
};

typedef struct {
    PyObject_HEAD
    PyObject *names;     /* of the parameters, those by name alone last; interned */
    PyObject *parts;     /* bytes: for each part of a key what it is, and of which parameter */
    PyObject *given;     /* bytes: the parameters whose arguments key= is given, those by name last */
    PyObject *given_names; /* a tuple of the names of the latter; NULL: none is given by name */
    PyObject *words;     /* the names of what it needs of the wrapper's globals; None: nothing */
    PyObject *bare;      /* the types whose values stand for themselves in keys */
    PyObject *told;      /* what marks a value that stands with its type */
    PyTypeObject *token; /* the type of what stands for an instance */
    Py_ssize_t table_at; /* where a token has the table of its instance's entries */
    int count, positional, only_positional; /* how many parameters, how many of them by position, by position alone */
    int star;            /* takes *args */
    int instance;        /* the parameter that takes the instance whose token keys begin with; -1: none */
    int is_tuple;        /* a key, without the token, is a tuple */
    int stars;           /* takes ** arguments */
    int ages, serves_stale, idles, copies; /* what a hit involves */
    int records;             /* a window records the calls */
    int is_async;
    int quick;           /* the parameter whose argument alone is the key of a call that has no others; -1: there is none */
    int looks;             /* there may be hits; else calls are led, and that is all */
    PyObject *named_alone; /* a tuple of the names of those that are given by name alone; NULL: there are none */
} Recipe;

/* Where the entries of a store, if they are of a type that Python derived, have what such entries know beside. */
typedef struct {
    PyTypeObject *type; /* owned */
    Py_ssize_t used, retry, stale_hits; /* -1: they have no such thing */
} Form;

/* READY: copies are those of the globals; STALE: they are to be read; CLOSED: every call goes to the wrapper. */
typedef enum { STALE, READY, CLOSED } Condition;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    State *state;             /* of the module, which the type holds */
    PyObject *wrapper;
    Recipe *recipe;           /* NULL: there is nothing for C to do */
    PyObject *copies[WORDS];  /* what the wrapper knows by these words; all NULL unless READY */
    PyObject *together;       /* of a recipe that records: the same as a tuple, with None for NULL; NULL unless READY */
    Condition condition;
    int is_monotonic;         /* the clock is time.monotonic, as it was when this module was imported */
    Form form;
} Call;

/* A call that was bound. */
typedef struct {
    Recipe *recipe;               /* owned */
    PyObject *const *values;      /* the arguments by parameter; borrowed from the caller, or in `own` */
    PyObject *const *more;        /* those of *args; borrowed from the caller */
    Py_ssize_t more_count;
    PyObject *key;                /* owned: the key, without the instance's token */
    unsigned filled;              /* which of `own` are defaults, which are owned */
    PyObject *own[MOST_PARAMETERS]; /* where `values` lie if they are not as the caller gave them; not initialised */
} Bound;

static void
bound_end(Bound *bound)
{
    Py_XDECREF(bound->key);
    for (int i = 0; bound->filled >> i; i++) {
        if (bound->filled >> i & 1) {
            Py_DECREF(bound->own[i]);
        }
    }
    Py_DECREF(bound->recipe);
}

/* ---- instances by their address
 *
 * A dictionary of addresses, each a number, which finds a token by an instance itself, without making a number of it.
 * Open addressing, at most two thirds full; a place that was given up is marked and used again when the table is made
 * anew.  It owns the tokens.  One leaves the table before it is given up, so that what dies with it finds the table whole.
 *
 * No change takes long, however many instances there are: the places of a large table are in lots, each made when it is
 * first written to, and a table is exchanged for one of another size a few places at a time, with each change.  What was
 * not moved yet lies at the place `moved` of the old table or behind it.  No row of places there goes on at place 0: what
 * lies before the first free place is moved at once.
 */

#define GIVEN_UP 1       /* no object lies at this address, nor at 0, which is that of a free place */
#define LOT_PLACES 4096  /* 64 KB, mapped; a table that has fewer places has one smaller lot */
#define FEWEST_PLACES 8
#define WHOLE_PLACES 1024 /* so many are moved in one go, which takes about 10 us */
#define FEW 16            /* of so many places one is used: the table is exchanged for one of a quarter of them */
#define MOVED_TOKENS 16   /* are moved with each change, so that the old table is empty before the new one is full */
#define MOVED_PLACES 128  /* are looked at for that, no more than so many */

typedef struct {
    uintptr_t address;
    PyObject *token; /* owned */
} Place;

typedef struct {
    Place **lots;    /* NULL: there is no table */
    size_t mask;     /* one less than how many places there are, a power of two */
    size_t occupied; /* places of tokens and of what was given up */
} Places;

typedef struct {
    PyObject_HEAD
    Places now, old;
    size_t moved; /* so many places of the old table were moved */
    size_t used;  /* tokens */
    size_t swept; /* where take() goes on */
} Refs;

static Place untouched[LOT_PLACES]; /* stands for each lot that nothing was written to */

static inline Place *
place_at(const Places *places, size_t i)
{
    return &places->lots[i / LOT_PLACES][i % LOT_PLACES];
}

static inline size_t
mixed(uintptr_t address)
{
    return (size_t)((uint64_t)(address >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20);
}

/* The place of an address that is not the first one where it may be; NULL: there is none. */
static Place *
further_place_of(const Refs *refs, uintptr_t address)
{
    Place *place;
    size_t i = mixed(address);
    while ((place = place_at(&refs->now, i & refs->now.mask))->address != 0) {
        if (place->address == address) {
            return place;
        }
        i++;
    }
    if (refs->old.lots != NULL) {
        i = mixed(address) & refs->old.mask;
        for (i = i < refs->moved ? refs->moved : i; i <= refs->old.mask; i++) {
            place = place_at(&refs->old, i);
            if (place->address == address) {
                return place;
            }
            if (place->address == 0) {
                break;
            }
        }
    }
    return NULL;
}

static inline Place *
place_of(const Refs *refs, uintptr_t address)
{
    Place *place = place_at(&refs->now, mixed(address) & refs->now.mask);
    return place->address == address ? place : further_place_of(refs, address);
}

/* What stands for an object; borrowed, NULL: nothing. */
static inline PyObject *
token_at(const Refs *refs, const void *address)
{
    Place *place = place_of(refs, (uintptr_t)address);
    return place == NULL ? NULL : place->token;
}

static inline size_t
lot_size(const Places *places)
{
    return (places->mask < LOT_PLACES ? places->mask + 1 : LOT_PLACES) * sizeof(Place);
}

/* Whether its lots are mapped, as full ones are; else its one lot is a block of the heap. */
static inline int
has_full_lots(const Places *places)
{
    return places->mask >= LOT_PLACES - 1;
}

static inline size_t
lots_of(const Places *places)
{
    return places->lots == NULL ? 0 : places->mask / LOT_PLACES + 1;
}

static void
lot_free(Places *places, size_t number)
{
    if (places->lots[number] != untouched) {
        block_free(places->lots[number], has_full_lots(places) ? lot_size(places) : 0);
        places->lots[number] = untouched;
    }
}

/* Free a table; its tokens are others' matter. */
static void
places_free(Places *places)
{
    for (size_t i = 0; i < lots_of(places); i++) {
        lot_free(places, i);
    }
    PyMem_Free(places->lots);
    places->lots = NULL;
}

/* Make an empty table.  -1 without an error set: there is no memory. */
static int
places_make(Places *places, size_t size)
{
    Places made = {NULL, size - 1, 0};
    size_t lots = made.mask / LOT_PLACES + 1;
    made.lots = PyMem_Malloc(lots * sizeof(Place *));
    if (made.lots == NULL) {
        return -1;
    }
    for (size_t i = 0; i < lots; i++) {
        made.lots[i] = untouched;
    }
    *places = made;
    return 0;
}

static inline int
is_roomy(const Places *places)
{
    return 3 * (places->occupied + 1) <= 2 * (places->mask + 1);
}

/* Add what is not there; there must be room.  -1 without an error set: there is no memory. */
static int
settle(Places *places, uintptr_t address, PyObject *token)
{
    size_t i = mixed(address) & places->mask;
    while (place_at(places, i)->address != 0) {
        i = (i + 1) & places->mask;
    }
    Place **lot = &places->lots[i / LOT_PLACES];
    if (*lot == untouched) {
        size_t size = lot_size(places);
        Place *made = has_full_lots(places) ? map_zeros(size) : PyMem_RawCalloc(1, size);
        if (made == NULL) {
            return -1;
        }
        *lot = made;
    }
    *place_at(places, i) = (Place){address, token};
    places->occupied++;
    return 0;
}

/* Move places of the old table, so many, or so many that have tokens.  -1 without an error set: there is no memory. */
static int
refs_move(Refs *refs, size_t most_places, size_t most_tokens)
{
    Places *old = &refs->old;
    for (; most_places && most_tokens && refs->moved <= old->mask; most_places--) {
        Place *place = place_at(old, refs->moved);
        if (place->address > GIVEN_UP) {
            if (settle(&refs->now, place->address, place->token) < 0) {
                return -1;
            }
            most_tokens--;
        }
        if (++refs->moved % LOT_PLACES == 0) {
            lot_free(old, refs->moved / LOT_PLACES - 1);
        }
    }
    if (refs->moved > old->mask) {
        places_free(old);
    }
    return 0;
}

/* Begin to exchange the table for one that fits.  -1 without an error set: there is no memory. */
static int
refs_exchange(Refs *refs)
{
    Places made, *now = &refs->now;
    size_t size = FEWEST_PLACES;
    while (2 * size < 5 * (refs->used + 1)) {
        size *= 2;
    }
    if (places_make(&made, size) < 0) {
        return -1;
    }
    size_t first = 0;
    for (; first <= now->mask && place_at(now, first)->address != 0; first++) {
        Place *place = place_at(now, first);
        if (place->address > GIVEN_UP && settle(&made, place->address, place->token) < 0) {
            places_free(&made);
            return -1;
        }
    }
    refs->old = *now;
    refs->now = made;
    refs->moved = first;
    size_t most = refs->old.mask < WHOLE_PLACES ? WHOLE_PLACES : MOVED_TOKENS;
    return refs_move(refs, WHOLE_PLACES, most);
}

/* Have room for one more.  -1 without an error set: there is no memory. */
static int
make_room(Refs *refs)
{
    while (!is_roomy(&refs->now)) {
        if ((refs->old.lots == NULL ? refs_exchange(refs) : refs_move(refs, SIZE_MAX, SIZE_MAX)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The address that a number is; 0 with an error set if it is none. */
static uintptr_t
address_in(PyObject *number)
{
    uintptr_t address = (uintptr_t)PyLong_AsVoidPtr(number);
    if (address <= GIVEN_UP && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "Refs: nothing lies at that address");
    }
    return address <= GIVEN_UP ? 0 : address;
}

/* Put a token in; what was there before is returned, to be given up when all is done.  Returns -1 without memory. */
static int
refs_put(Refs *refs, uintptr_t address, PyObject *token, PyObject **before)
{
    Place *place = place_of(refs, address);
    if (place != NULL) {
        *before = place->token;
        place->token = Py_NewRef(token);
        return 0;
    }
    *before = NULL;
    if (refs->old.lots != NULL) {
        refs_move(refs, MOVED_PLACES, MOVED_TOKENS); /* if it cannot, another will */
    }
    if (make_room(refs) < 0 || settle(&refs->now, address, token) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    Py_INCREF(token);
    refs->used++;
    return 0;
}

/* Take out the token at a place, which becomes the caller's; afterwards() is to follow. */
static PyObject *
place_take(Refs *refs, Place *place)
{
    PyObject *token = place->token;
    *place = (Place){GIVEN_UP, NULL};
    refs->used--;
    return token;
}

/* Have no more memory than so many tokens need, by and by. */
static void
afterwards(Refs *refs)
{
    if (refs->old.lots != NULL) {
        refs_move(refs, MOVED_PLACES, MOVED_TOKENS); /* if it cannot, another will */
    }
    else if (refs->now.mask >= WHOLE_PLACES && FEW * refs->used <= refs->now.mask) {
        refs_exchange(refs); /* likewise */
    }
}

/* Take a token out, which becomes the caller's; NULL: there is none. */
static PyObject *
refs_take(Refs *refs, uintptr_t address)
{
    Place *place = place_of(refs, address);
    if (place == NULL) {
        return NULL;
    }
    PyObject *token = place_take(refs, place);
    afterwards(refs);
    return token;
}

static PyObject *
refs_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Refs *refs = (Refs *)type->tp_alloc(type, 0);
    if (refs != NULL && places_make(&refs->now, FEWEST_PLACES) < 0) {
        Py_CLEAR(refs);
        PyErr_NoMemory();
    }
    return (PyObject *)refs;
}

/* The next place of a table that has a token, from *i* on, which goes past it; NULL: there is none. */
static Place *
next_place(const Places *places, size_t *i)
{
    while (places->lots != NULL && *i <= places->mask) {
        Place *place = place_at(places, (*i)++);
        if (place->address > GIVEN_UP) {
            return place;
        }
    }
    return NULL;
}

static int
refs_traverse(Refs *refs, visitproc visit, void *arg)
{
    Place *place;
    Py_VISIT(Py_TYPE(refs));
    for (size_t i = 0; (place = next_place(&refs->now, &i)) != NULL;) {
        Py_VISIT(place->token);
    }
    for (size_t i = refs->moved; (place = next_place(&refs->old, &i)) != NULL;) {
        Py_VISIT(place->token);
    }
    return 0;
}

/* Give up the tokens of a table, which is nobody else's, from a place on, and free it. */
static void
places_drop(Places *places, size_t first)
{
    for (Place *place; (place = next_place(places, &first)) != NULL;) {
        Py_DECREF(place->token);
    }
    places_free(places);
}

/* Empty it, in one step; the tokens are given up after that. */
static int
refs_clear(Refs *refs)
{
    Places had = refs->now, old = refs->old;
    size_t moved = refs->moved;
    if (had.lots == NULL || refs->used == 0) {
        return 0;
    }
    if (places_make(&refs->now, FEWEST_PLACES) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    refs->old.lots = NULL;
    refs->used = 0;
    places_drop(&had, 0);
    places_drop(&old, moved);
    return 0;
}

static int
refs_tp_clear(Refs *refs)
{
    if (refs_clear(refs) < 0) {
        PyErr_Clear();
    }
    return 0;
}

static void
refs_dealloc(Refs *refs)
{
    PyTypeObject *type = Py_TYPE(refs);
    PyObject_GC_UnTrack(refs);
    places_drop(&refs->now, 0);
    places_drop(&refs->old, refs->moved);
    type->tp_free(refs);
    Py_DECREF(type);
}

static PyObject *
refs_subscript(Refs *refs, PyObject *number)
{
    uintptr_t address = address_in(number);
    PyObject *token = address == 0 ? NULL : token_at(refs, (void *)address);
    if (token == NULL && address != 0) {
        PyErr_SetObject(PyExc_KeyError, number);
    }
    return Py_XNewRef(token);
}

static int
refs_assign(Refs *refs, PyObject *number, PyObject *token)
{
    uintptr_t address = address_in(number);
    PyObject *before;
    if (address == 0) {
        return -1;
    }
    if (token == NULL) {
        before = refs_take(refs, address);
        if (before == NULL) {
            PyErr_SetObject(PyExc_KeyError, number);
            return -1;
        }
    }
    else if (refs_put(refs, address, token, &before) < 0) {
        return -1;
    }
    Py_XDECREF(before);
    return 0;
}

static int
refs_contains(Refs *refs, PyObject *number)
{
    uintptr_t address = address_in(number);
    return address == 0 ? -1 : place_of(refs, address) != NULL;
}

static Py_ssize_t
refs_length(Refs *refs)
{
    return (Py_ssize_t)refs->used;
}

static PyObject *
refs_get(Refs *refs, PyObject *number)
{
    uintptr_t address = address_in(number);
    if (address == 0) {
        return NULL;
    }
    PyObject *token = token_at(refs, (void *)address);
    return Py_NewRef(token == NULL ? Py_None : token);
}

static PyObject *
refs_setdefault(Refs *refs, PyObject *const *args, Py_ssize_t count)
{
    uintptr_t address = count == 2 ? address_in(args[0]) : 0;
    if (address == 0) {
        if (count != 2) {
            PyErr_SetString(PyExc_TypeError, "Refs.setdefault() takes an address and a token");
        }
        return NULL;
    }
    PyObject *token = token_at(refs, (void *)address), *before;
    if (token != NULL) {
        return Py_NewRef(token);
    }
    return refs_put(refs, address, args[1], &before) < 0 ? NULL : Py_NewRef(args[1]);
}

static PyObject *
refs_pop(Refs *refs, PyObject *const *args, Py_ssize_t count)
{
    uintptr_t address = count == 2 ? address_in(args[0]) : 0;
    if (address == 0) {
        if (count != 2) {
            PyErr_SetString(PyExc_TypeError, "Refs.pop() takes an address and what to return if nothing is there");
        }
        return NULL;
    }
    PyObject *token = refs_take(refs, address);
    return token == NULL ? Py_NewRef(args[1]) : token;
}

/* The tokens that are there at one moment, as a list. */
static PyObject *
refs_values(Refs *refs, PyObject *unused)
{
    PyObject *list = PyList_New((Py_ssize_t)refs->used), *old;
    while (list != NULL && (size_t)PyList_GET_SIZE(list) != refs->used) { /* to make it may have run the collector */
        old = list;
        list = PyList_New((Py_ssize_t)refs->used);
        Py_DECREF(old);
    }
    if (list != NULL) {
        Py_ssize_t found = 0;
        Place *place;
        for (size_t i = 0; (place = next_place(&refs->now, &i)) != NULL;) {
            PyList_SET_ITEM(list, found++, Py_NewRef(place->token));
        }
        for (size_t i = refs->moved; (place = next_place(&refs->old, &i)) != NULL;) {
            PyList_SET_ITEM(list, found++, Py_NewRef(place->token));
        }
    }
    return list;
}

/* Take out no more than so many tokens, as a list.  To have found none does not say that there are none: it looks at a few
 * places, and goes on there the next time. */
static PyObject *
refs_take_some(Refs *refs, PyObject *number)
{
    Py_ssize_t count = PyLong_AsSsize_t(number);
    PyObject *list = count == -1 && PyErr_Occurred() ? NULL : PyList_New(0);
    if (list != NULL && refs->old.lots != NULL) {
        refs_move(refs, LOT_PLACES, LOT_PLACES); /* if it cannot, another will */
    }
    for (int looked = 0; list != NULL && looked < LOT_PLACES && PyList_GET_SIZE(list) < count; looked++) {
        Place *place = place_at(&refs->now, refs->swept++ & refs->now.mask);
        if (place->address > GIVEN_UP) {
            if (PyList_Append(list, place->token) < 0) {
                Py_CLEAR(list);
                break;
            }
            Py_DECREF(place_take(refs, place)); /* not the last: the list has it */
            afterwards(refs);
        }
    }
    return list;
}

static PyObject *
refs_py_clear(Refs *refs, PyObject *unused)
{
    if (refs_clear(refs) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
refs_sizeof(Refs *refs, PyObject *unused)
{
    const Places *tables[] = {&refs->now, &refs->old};
    size_t size = sizeof(Refs);
    for (int t = 0; t < 2; t++) {
        for (size_t i = 0; i < lots_of(tables[t]); i++) {
            size += sizeof(Place *) + (tables[t]->lots[i] == untouched ? 0 : lot_size(tables[t]));
        }
    }
    return PyLong_FromSize_t(size);
}

static PyMethodDef refs_methods[] = {
    {"get", (PyCFunction)refs_get, METH_O, "The token at an address, or None."},
    {"setdefault", (PyCFunction)(void (*)(void))refs_setdefault, METH_FASTCALL, "The token at an address, put there if need be."},
    {"pop", (PyCFunction)(void (*)(void))refs_pop, METH_FASTCALL, "Take out the token at an address."},
    {"values", (PyCFunction)refs_values, METH_NOARGS, "All tokens at one moment."},
    {"take", (PyCFunction)refs_take_some, METH_O, "Take out some tokens, which are returned, at most so many."},
    {"clear", (PyCFunction)refs_py_clear, METH_NOARGS, "Take out all, in one step."},
    {"__sizeof__", (PyCFunction)refs_sizeof, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot refs_slots[] = {
    {Py_tp_doc, "Tokens by the addresses of what they stand for."},
    {Py_tp_new, refs_new},
    {Py_tp_dealloc, refs_dealloc},
    {Py_tp_traverse, refs_traverse},
    {Py_tp_clear, refs_tp_clear},
    {Py_tp_methods, refs_methods},
    {Py_mp_subscript, refs_subscript},
    {Py_mp_ass_subscript, refs_assign},
    {Py_mp_length, refs_length},
    {Py_sq_contains, refs_contains},
    {0, NULL},
};

static PyType_Spec refs_spec = {
    "memo._native._speed.Refs", sizeof(Refs), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, refs_slots,
};

/* ---- binding */

/* The number of the parameter that is given by a name; -1: none. */
static int
named(Recipe *recipe, PyObject *name)
{
    PyObject *const *names = &PyTuple_GET_ITEM(recipe->names, 0);
    for (int i = recipe->only_positional; i < recipe->count; i++) {
        if (names[i] == name) {
            return i;
        }
    }
    for (int i = recipe->only_positional; i < recipe->count; i++) { /* a name that nobody interned */
        if (PyUnicode_Compare(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Whether no argument is missing, once those that have a default are filled in. */
static int
fill_in(Call *call, Bound *bound, Py_ssize_t given)
{
    Recipe *recipe = bound->recipe;
    PyFunctionObject *wrapper = (PyFunctionObject *)call->wrapper;
    PyObject *defaults = wrapper->func_defaults, *by_name = wrapper->func_kwdefaults;
    Py_ssize_t first = recipe->positional - (defaults == NULL ? 0 : PyTuple_GET_SIZE(defaults));
    for (Py_ssize_t i = given; i < recipe->count; i++) {
        if (bound->own[i] != NULL) {
            continue;
        }
        PyObject *value = NULL;
        if (i < recipe->positional) {
            value = i < first ? NULL : PyTuple_GET_ITEM(defaults, i - first);
        }
        else if (by_name != NULL) { /* its keys are text: no user code compares them */
            value = PyDict_GetItemWithError(by_name, PyTuple_GET_ITEM(recipe->names, i));
        }
        if (value == NULL) {
            PyErr_Clear();
            return 0;
        }
        bound->own[i] = Py_NewRef(value);
        bound->filled |= 1u << i;
    }
    return 1;
}

/* Bind a call; `bound` is to be ended whatever comes of it.  Returns 0 for a doubt. */
static int
bind_call(Call *call, Bound *bound, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t given = PyVectorcall_NARGS(nargsf);
    Recipe *recipe = call->recipe;
    bound->recipe = (Recipe *)Py_NewRef(recipe);
    bound->more_count = 0;
    bound->filled = 0;
    bound->key = NULL;
    if (given == recipe->count && kwnames == NULL && given == recipe->positional) {
        bound->values = args;
        return 1;
    }
    Py_ssize_t by_name = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *const *named_values = args + given;
    if (given > recipe->positional) {
        if (!recipe->star) {
            return 0;
        }
        bound->more = args + recipe->positional;
        bound->more_count = given - recipe->positional;
        given = recipe->positional;
    }
    bound->values = bound->own;
    for (Py_ssize_t i = 0; i < recipe->count; i++) {
        bound->own[i] = i < given ? args[i] : NULL;
    }
    for (Py_ssize_t i = 0; i < by_name; i++) {
        int number = named(recipe, PyTuple_GET_ITEM(kwnames, i));
        if (number < 0 || bound->own[number] != NULL) {
            return 0;
        }
        bound->own[number] = named_values[i];
    }
    return fill_in(call, bound, given);
}

/* ---- keys */

/* What stands for a value that is told with its type (see memo/_call/key_types.py); a new reference. */
static PyObject *
told(Recipe *recipe, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type || type == &PyLong_Type || type == &PyBytes_Type || value == Py_None
        || type == &PyTuple_Type || type == &PyFrozenSet_Type) {
        return Py_NewRef(value); /* their instances tell their type as it is */
    }
    PyObject *kind;
    if (type == &PyFloat_Type || type == &PyBool_Type) {
        kind = Py_NewRef(type);
    }
    else {
        kind = PyObject_GetAttrString(value, "__class__"); /* what it says */
        if (kind == NULL) {
            return NULL;
        }
    }
    int stands_alone = PySet_Contains(recipe->bare, kind);
    PyObject *result = NULL;
    if (stands_alone > 0) {
        result = Py_NewRef(value);
    }
    else if (stands_alone == 0) {
        result = PyTuple_Pack(3, value, kind, recipe->told);
    }
    Py_DECREF(kind);
    return result;
}

/* The values of *args, or (with `types`) their types, as a tuple. */
static PyObject *
rest_of(Bound *bound, int tells, int types)
{
    PyObject *rest = PyTuple_New(bound->more_count);
    for (Py_ssize_t i = 0; rest != NULL && i < bound->more_count; i++) {
        PyObject *value = bound->more[i], *part;
        part = types ? Py_NewRef(Py_TYPE(value)) : tells && i == 0 ? told(bound->recipe, value) : Py_NewRef(value);
        if (part == NULL) {
            Py_CLEAR(rest);
            break;
        }
        PyTuple_SET_ITEM(rest, i, part);
    }
    return rest;
}

/* What key= makes of a call. */
static PyObject *
made_key(Call *call, Bound *bound)
{
    Recipe *recipe = bound->recipe;
    PyObject *arguments[MOST_PARAMETERS], *names = recipe->given_names;
    Py_ssize_t count = PyBytes_GET_SIZE(recipe->given);
    for (Py_ssize_t i = 0; i < count; i++) {
        arguments[i] = bound->values[(int)PyBytes_AS_STRING(recipe->given)[i]];
    }
    PyObject *make = Py_NewRef(call->copies[WORD_MAKE]);
    PyObject *made = PyObject_Vectorcall(make, arguments, count - (names == NULL ? 0 : PyTuple_GET_SIZE(names)), names);
    Py_DECREF(make);
    return made;
}

/* The token of the event loop that runs, or None; NULL: it has none yet. */
static PyObject *
loop_token(Call *call)
{
    PyObject *loop = PyObject_CallNoArgs(call->copies[WORD_RUNNING_LOOP]);
    if (loop == NULL) {
        return NULL;
    }
    PyObject *token = Py_XNewRef(token_at((Refs *)call->copies[WORD_LOOP_REFS], loop));
    Py_DECREF(loop);
    return token;
}

/* Whether a value's hash runs a __hash__ written in Python. */
static int
hashes_in_python(State *state, PyObject *value)
{
    if (Py_TYPE(value)->tp_hash == state->hash_in_python) {
        return 1;
    }
    if (PyTuple_CheckExact(value)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); i++) {
            if (hashes_in_python(state, PyTuple_GET_ITEM(value, i))) {
                return 1;
            }
        }
    }
    return 0;
}

/* One part of a key, a new reference; NULL: a doubt, or with an exception, which user code raised.
 *
 * A value whose hash is written in Python is the wrapper's affair: to look for it here first would hash it once more in
 * each miss. */
static PyObject *
key_part(Call *call, Bound *bound, const char *part)
{
    PyObject *value = part[1] < bound->recipe->count ? bound->values[(int)part[1]] : NULL;
    switch (part[0]) {
    case PART_VALUE:
        return hashes_in_python(call->state, value) ? NULL : Py_NewRef(value);
    case PART_TOLD:
        return hashes_in_python(call->state, value) ? NULL : told(bound->recipe, value);
    case PART_TYPE:
        return Py_NewRef(Py_TYPE(value));
    case PART_REST:
    case PART_REST_TOLD:
        for (Py_ssize_t i = 0; i < bound->more_count; i++) {
            if (hashes_in_python(call->state, bound->more[i])) {
                return NULL;
            }
        }
        return rest_of(bound, part[0] == PART_REST_TOLD, 0);
    case PART_REST_TYPES:
        return rest_of(bound, 0, 1);
    case PART_EMPTY:
        return PyTuple_New(0);
    }
    if (call->condition != READY || call->recipe != bound->recipe) {
        return NULL; /* another part of the key has changed something */
    }
    switch (part[0]) {
    case PART_WEAK:
        return Py_XNewRef(token_at((Refs *)call->copies[WORD_WEAK_REFS], value));
    case PART_LOOP:
        return loop_token(call);
    default:
        return made_key(call, bound);
    }
}

/* Make the key of a bound call, without the instance's token.  Returns 0 for a doubt, -1 with an exception, which user
 * code raised. */
static int
bind_key(Call *call, Bound *bound)
{
    const char *parts = PyBytes_AS_STRING(bound->recipe->parts);
    if (!bound->recipe->is_tuple) {
        bound->key = key_part(call, bound, parts);
    }
    else {
        Py_ssize_t count = PyBytes_GET_SIZE(bound->recipe->parts) / 2;
        PyObject *key = PyTuple_New(count);
        for (Py_ssize_t i = 0; key != NULL && i < count; i++) {
            PyObject *part = key_part(call, bound, parts + 2 * i);
            if (part == NULL) {
                Py_CLEAR(key);
                break;
            }
            PyTuple_SET_ITEM(key, i, part);
        }
        bound->key = key;
    }
    return bound->key != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* ---- looking up */

/* What a table has of a key, a new reference; NULL: nothing, or with an exception, which user code raised. */
static PyObject *
found_in(State *state, PyObject *table, PyObject *key)
{
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1 || !is_index(state, table)) {
        return NULL;
    }
    Py_INCREF(table); /* a comparison may have it exchanged */
    PyObject *found = Py_XNewRef(index_find(state, table, key, hash));
    Py_DECREF(table);
    return found;
}

/* The table in which the entries of an instance lie; a new reference, or NULL: it has no token yet. */
static PyObject *
table_of(Call *call, Recipe *recipe, PyObject *instance)
{
    PyObject *token = token_at((Refs *)call->copies[WORD_REFS], instance);
    if (token == NULL || !Py_IS_TYPE(token, recipe->token)) {
        return NULL;
    }
    return Py_XNewRef(*(PyObject **)((char *)token + recipe->table_at));
}

/* The entry of a bound call whose key is made, a new reference; NULL as found_in(). */
static PyObject *
entry_of(Call *call, Bound *bound)
{
    Recipe *recipe = bound->recipe;
    if (call->condition != READY || call->recipe != recipe) {
        return NULL; /* the making of the key has changed something */
    }
    if (recipe->instance < 0) {
        PyObject *index = Py_NewRef(call->copies[WORD_INDEX]);
        PyObject *found = found_in(call->state, index, bound->key);
        Py_DECREF(index);
        return found;
    }
    PyObject *table = table_of(call, recipe, bound->values[recipe->instance]);
    if (table == NULL) {
        return NULL;
    }
    PyObject *found = found_in(call->state, table, bound->key);
    Py_DECREF(table);
    return found;
}

/* ---- entries */

/* Where instances of a type have a slot of that name; -1: nowhere. */
static Py_ssize_t
member_at(PyTypeObject *type, const char *name)
{
    /* interned: the interpreter remembers what was looked up by the address of the name, and keeps each name for that */
    PyObject *word = PyUnicode_InternFromString(name);
    if (word == NULL) {
        PyErr_Clear();
        return -1;
    }
    PyObject *descriptor = _PyType_Lookup(type, word);
    Py_DECREF(word);
    if (descriptor == NULL || !Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        return -1;
    }
    PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
    return member->type == T_OBJECT_EX ? member->offset : -1;
}

/* Learn where entries of a type have what not all have. */
static inline void
learn_form(Form *form, PyTypeObject *type)
{
    if (type != form->type) {
        PyTypeObject *old = form->type;
        *form = (Form){
            .type = (PyTypeObject *)Py_NewRef(type),
            .used = member_at(type, "used"),
            .retry = member_at(type, "retry"),
            .stale_hits = member_at(type, "stale_hits"),
        };
        Py_XDECREF(old); /* a type: it is kept by its module */
    }
}

/* Add one to a count in a slot.  Returns 0 if there is none, or no memory. */
static int
add_one(Entry *entry, Py_ssize_t at)
{
    PyObject *count = at < 0 ? NULL : SLOT(entry, at);
    if (count == NULL || !PyLong_CheckExact(count)) {
        return 0;
    }
    long number = PyLong_AsLong(count);
    PyObject *next = number == -1 || number == LONG_MAX ? NULL : PyLong_FromLong(number + 1);
    if (next == NULL) {
        PyErr_Clear();
        return 0;
    }
    SLOT(entry, at) = next;
    Py_DECREF(count);
    return 1;
}

/* A number in a slot; NAN if there is none, so that nothing lies before it. */
static double
number_in(Entry *entry, Py_ssize_t at)
{
    PyObject *number = at < 0 ? NULL : SLOT(entry, at);
    return number != NULL && PyFloat_CheckExact(number) ? PyFloat_AS_DOUBLE(number) : NAN;
}

/* ---- time */

/* What is known of the present time. */
typedef struct {
    double about; /* within MARGIN_S; NAN: not read yet */
    double exact; /* NAN: not read yet */
} Moment;

/* Whether the present time lies before another.  Returns -1 for a doubt.  Only of time.monotonic: it runs no user code. */
static int
is_before(Call *call, Moment *moment, double when)
{
#ifdef CLOCK_MONOTONIC_COARSE
    if (isnan(moment->exact) && !call->recipe->idles) { /* else the time is written down, and must be exact */
        if (isnan(moment->about)) {
            struct timespec read;
            if (clock_gettime(CLOCK_MONOTONIC_COARSE, &read) == 0) {
                moment->about = (double)read.tv_sec + 1e-9 * (double)read.tv_nsec;
            }
        }
        if (moment->about + MARGIN_S < when) {
            return 1;
        }
        if (moment->about >= when + MARGIN_S) {
            return 0;
        }
    }
#endif
    if (isnan(moment->exact) && exact_time(call->state, call->copies[WORD_CLOCK], &moment->exact) <= 0) {
        PyErr_Clear();
        return -1;
    }
    return moment->exact < when;
}

/* ---- hits */

/* What an entry may do now. */
enum May { MAY_NOT, ANSWER, ANSWER_STALE };

static enum May
may_answer(Call *call, Recipe *recipe, Entry *entry, Moment *moment)
{
    if (!recipe->ages) {
        return ANSWER;
    }
    enum May may = MAY_NOT;
    int fresh = is_before(call, moment, entry->deadline);
    if (fresh > 0) {
        may = ANSWER;
    }
    else if (fresh == 0 && recipe->serves_stale && is_before(call, moment, number_in(entry, call->form.retry)) > 0) {
        may = ANSWER_STALE;
    }
    if (may != MAY_NOT && recipe->idles) {
        PyObject *idle_s = call->copies[WORD_IDLE];
        double after_s = PyFloat_CheckExact(idle_s) ? PyFloat_AS_DOUBLE(idle_s) : NAN;
        if (is_before(call, moment, number_in(entry, call->form.used) + after_s) <= 0) {
            return MAY_NOT;
        }
    }
    return may;
}

/* Note that an entry was used now.  Returns 0 without memory. */
static int
note_use(Call *call, Entry *entry, Moment *moment)
{
    PyObject *now = PyFloat_FromDouble(moment->exact);
    if (now == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *before = SLOT(entry, call->form.used);
    SLOT(entry, call->form.used) = now;
    Py_XDECREF(before); /* a number */
    return 1;
}

/* Whether an entry hangs where its policy wants it of a hit, or Python is to see to that. */
enum Moved { MOVE_DOUBTED, MOVED, MOVE_LEFT };

/* Move an entry to the new end of its ring, as a hit does where the policy wants that.  A ring whose key is set is
 * half-changed by Python code, and left alone. */
static inline enum Moved
move_newest(Node *ring, Node *node)
{
    if (node->newer == ring || (ring->key != NULL && ring->key != Py_None)) {
        return MOVED;
    }
    if (!hangs(node) || !hangs(ring)) {
        return MOVE_DOUBTED;
    }
    unhang(node);
    hang_newest(ring, node);
    return MOVED;
}

/* Whether a node is the mark of a count, or the ring that ends the marks, and hangs: what move_counted() goes by. */
static inline int
is_count(Node *ring, Node *mark, PyObject *next)
{
    return next != NULL && (next == (PyObject *)ring || Py_TYPE(next) == Py_TYPE(mark)) && hangs((Node *)next);
}

/* Move an entry that its policy counts, as a hit does: to the end of those behind the next mark, if that has the next
 * count, else by raising its own mark, if it is alone behind that (memo/_store/frequency.py).  Marks are put in and taken
 * out by Python alone: where that is due the move is left to touch(), and nothing has happened. */
static enum Moved
move_counted(State *state, Node *ring, Node *node)
{
    if (ring->key != NULL && ring->key != Py_None) {
        return MOVED;
    }
    Node *mark = (Node *)mark_object(node);
    if (mark == NULL || !PyObject_TypeCheck((PyObject *)mark, (PyTypeObject *)state->Mark) || !hangs(node) || !hangs(mark)
        || !is_count(ring, mark, mark->key)) {
        return MOVE_DOUBTED;
    }
    Node *above = (Node *)mark->key;
    int alone = node->older == mark && node->newer == above;
    if (above == ring || above->hits != mark->hits + 1) {
        mark->hits += alone;
        return alone ? MOVED : MOVE_LEFT;
    }
    if (alone) {
        return MOVE_LEFT;
    }
    if (!is_count(ring, above, above->key)) {
        return MOVE_DOUBTED;
    }
    unhang(node);
    hang_newest((Node *)above->key, node);
    node->mark = (intptr_t)Py_NewRef(above) / 8;
    Py_DECREF(mark); /* the mark below it holds it, too */
    return MOVED;
}

/* Move an entry as its policy wants it of a hit. */
static inline enum Moved
move_used(State *state, Node *ring, Node *node)
{
    return mark_object(node) == NULL ? move_newest(ring, node) : move_counted(state, ring, node);
}

/* The value of an entry that answers, counted: a new reference; and what is still to be called of the entry, a new reference
 * or NULL.  NULL: a doubt.  It runs no user code before that. */
static PyObject *
counted_value(Call *call, Recipe *recipe, PyObject *found, Moment *moment, PyObject **touch)
{
    if (!is_entry(call->state, found) || ((Entry *)found)->value == NULL) {
        return NULL;
    }
    Entry *entry = (Entry *)found;
    if (recipe->serves_stale || recipe->idles) {
        learn_form(&call->form, Py_TYPE(entry));
    }
    enum May may = may_answer(call, recipe, entry, moment);
    Node *ring = (Node *)call->copies[WORD_RING];
    enum Moved moved = may == MAY_NOT ? MOVE_DOUBTED : ring == NULL ? MOVED : move_used(call->state, ring, &entry->node);
    if (moved == MOVE_DOUBTED) {
        return NULL; /* before anything is counted: the wrapper counts it */
    }
    if ((may == ANSWER_STALE && !add_one(entry, call->form.stale_hits)) || (recipe->idles && !note_use(call, entry, moment))) {
        return NULL;
    }
    entry->node.hits++;
    *touch = moved == MOVE_LEFT ? Py_XNewRef(call->copies[WORD_TOUCH]) : NULL;
    return Py_NewRef(entry->value);
}

/* The error of a look-up that the wrapper takes for a miss, or raises better: it is forgotten. */
static void
forgive(void)
{
    if (PyErr_Occurred() && (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_KeyError))) {
        PyErr_Clear();
    }
}

/* The value of a bound call whose key is made, counted as a hit: a new reference.  NULL: a doubt, or an exception. */
static PyObject *
hit(Call *call, Bound *bound, Moment *moment)
{
    Recipe *recipe = bound->recipe;
    PyObject *entry = entry_of(call, bound);
    if (entry == NULL) {
        forgive();
        return NULL;
    }
    if (recipe->ages && !call->is_monotonic) {
        /* A clock of the user's own, which is asked only where there is an entry, and by whom it may be gone then. */
        Py_DECREF(entry);
        if (call->condition != READY || !is_plain(call->state, bound->key)) {
            return NULL;
        }
        PyObject *clock = Py_NewRef(call->copies[WORD_CLOCK]);
        int read = exact_time(call->state, clock, &moment->exact);
        Py_DECREF(clock);
        entry = read > 0 ? entry_of(call, bound) : NULL;
        if (entry == NULL) {
            return NULL;
        }
    }
    PyObject *value = NULL, *copy = NULL, *touch = NULL;
    if (call->condition == READY && call->recipe == recipe) {
        value = counted_value(call, recipe, entry, moment, &touch);
        copy = recipe->copies ? Py_NewRef(call->copies[WORD_COPY]) : NULL;
    }
    if (touch != NULL) { /* as in the wrapper, the hit is counted by then, whatever strikes there */
        PyObject *touched = PyObject_CallOneArg(touch, entry);
        if (touched == NULL) {
            Py_CLEAR(value);
        }
        Py_XDECREF(touched);
        Py_DECREF(touch);
    }
    Py_DECREF(entry);
    if (value != NULL && copy != NULL) {
        Py_SETREF(value, PyObject_CallOneArg(copy, value));
    }
    Py_XDECREF(copy);
    return value;
}

/* Whether the time of time.monotonic lies before another, as the coarse clock sees it. */
static inline int
is_surely_before(double when)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec read;
    return clock_gettime(CLOCK_MONOTONIC_COARSE, &read) == 0
        && (double)read.tv_sec + 1e-9 * (double)read.tv_nsec + MARGIN_S < when;
#else
    return 0;
#endif
}

/* What hit() would return of a call that is as simple as most: bound by position alone, its key one text or number, and
 * surely fresh.  NULL: nothing is known yet, or an exception, which a comparison raised.
 *
 * Of user code only the comparison with a key that is stored may run, of another type and an equal hash.  From then on
 * nothing is used but the entry, which the table holds, and what was read before. */
static inline PyObject *
quick_hit(Call *call, PyObject *const *args, size_t nargsf, int *absent)
{
    Recipe *recipe = call->recipe;
    if (PyVectorcall_NARGS(nargsf) != recipe->count || recipe->quick < 0) {
        return NULL;
    }
    PyObject *key = args[recipe->quick], *table, *value = NULL;
    if (!PyUnicode_CheckExact(key) && !PyLong_CheckExact(key)) {
        return NULL;
    }
    int ages = recipe->ages, is_monotonic = call->is_monotonic;
    if (recipe->instance < 0) {
        table = call->copies[WORD_INDEX];
    }
    else {
        PyObject *token = token_at((Refs *)call->copies[WORD_REFS], args[recipe->instance]);
        table = token == NULL || !Py_IS_TYPE(token, recipe->token) ? NULL : SLOT(token, recipe->table_at);
    }
    if (table == NULL || !is_index(call->state, table)) {
        return NULL;
    }
    Py_INCREF(table);
    int is_one = 0; /* an entry, as is known */
    PyObject *found = PyDict_CheckExact(table) ? PyDict_GetItemWithError(table, key)
        : large_get_entry((LargeTable *)table, key, PyObject_Hash(key), &is_one);
    if (found == NULL) {
        *absent = !PyErr_Occurred();
        if (!*absent) {
            forgive();
        }
    }
    else if (is_one || is_entry(call->state, found)) {
        Entry *entry = (Entry *)found;
        if (!ages || (is_monotonic && is_surely_before(entry->deadline))) {
            value = Py_XNewRef(entry->value);
            entry->node.hits += value != NULL;
        }
    }
    Py_DECREF(table);
    return value;
}

static int read_copies(Call *call);
static PyObject *answer_record(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames);

static inline int
is_ready(Call *call)
{
    return call->condition == READY || (call->condition == STALE && read_copies(call));
}

/* The key of a bound call, with the token of its instance if keys begin with one: a new reference.  NULL: a doubt. */
static PyObject *
whole_key(Call *call, Bound *bound)
{
    Recipe *recipe = bound->recipe;
    if (call->condition != READY || call->recipe != recipe) {
        return NULL;
    }
    if (recipe->instance < 0) {
        return Py_NewRef(bound->key);
    }
    PyObject *token = token_at((Refs *)call->copies[WORD_REFS], bound->values[recipe->instance]);
    if (token == NULL || !Py_IS_TYPE(token, recipe->token)) {
        return NULL;
    }
    Py_INCREF(token); /* the collector may run */
    Py_ssize_t rest = recipe->is_tuple ? PyTuple_GET_SIZE(bound->key) : 1;
    PyObject *key = PyTuple_New(1 + rest);
    if (key == NULL) {
        PyErr_Clear();
        Py_DECREF(token);
        return NULL;
    }
    PyTuple_SET_ITEM(key, 0, token);
    for (Py_ssize_t i = 0; i < rest; i++) {
        PyTuple_SET_ITEM(key, 1 + i, Py_NewRef(recipe->is_tuple ? PyTuple_GET_ITEM(bound->key, i) : bound->key));
    }
    return key;
}

/* Lead a bound call that found nothing (section 4).  NULL: a doubt, and nothing has happened; or an exception. */
static PyObject *
led(Call *call, Bound *bound, double now)
{
    Recipe *recipe = bound->recipe;
    State *state = call->state;
    PyObject *key = bound->more_count || call->copies[WORD_LEADING] == NULL ? NULL : whole_key(call, bound);
    if (key == NULL) {
        return NULL;
    }
    PyObject *leading = call->copies[WORD_LEADING], *answer = NULL;
    if (call->condition == READY && call->recipe == recipe && leading != NULL && Py_IS_TYPE(leading, state->Leading)
        && is_plain(state, key)) {
        answer = lead(state, leading, call->copies[WORD_FUNCTION], key, PyObject_Hash(key), now, bound->values,
            recipe->positional, recipe->named_alone);
    }
    Py_DECREF(key);
    return answer;
}

/* Have Python answer a bound call by the key that key= has made of it, and which it must not be asked for once more: what
 * the wrapper does, once that has its key and has found nothing. */
static PyObject *
made_led(Bound *bound, PyObject *lead_made)
{
    Recipe *recipe = bound->recipe;
    PyObject *answer = NULL, *args = PyTuple_New(recipe->positional + bound->more_count), *kwargs = PyDict_New();
    for (Py_ssize_t i = 0; args != NULL && i < PyTuple_GET_SIZE(args); i++) {
        PyObject *value = i < recipe->positional ? bound->values[i] : bound->more[i - recipe->positional];
        PyTuple_SET_ITEM(args, i, Py_NewRef(value));
    }
    for (int i = recipe->positional; kwargs != NULL && i < recipe->count; i++) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(recipe->names, i), bound->values[i]) < 0) {
            Py_CLEAR(kwargs);
        }
    }
    if (args != NULL && kwargs != NULL) {
        answer = PyObject_CallFunctionObjArgs(lead_made, bound->key, args, kwargs, NULL);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return answer;
}

/* Lead a call that is as simple as quick_hit() has it, and that has no hit; likewise. */
static inline PyObject *
quick_led(Call *call, PyObject *const *args, size_t nargsf)
{
    Recipe *recipe = call->recipe;
    PyObject *leading = call->copies[WORD_LEADING];
    if (recipe->quick < 0 || PyVectorcall_NARGS(nargsf) != recipe->positional || recipe->count != recipe->positional
        || recipe->instance >= 0 || leading == NULL || !Py_IS_TYPE(leading, call->state->Leading)) {
        return NULL;
    }
    PyObject *key = args[recipe->quick];
    if (!PyUnicode_CheckExact(key) && !PyLong_CheckExact(key)) {
        return NULL;
    }
    return lead(call->state, leading, call->copies[WORD_FUNCTION], key, PyObject_Hash(key), NAN, args, recipe->positional,
        NULL);
}

/* Answer a call that is bound, by a hit, unless there is none (*absent*), or by leading it, which looks again.  NULL
 * without an exception: a doubt. */
static inline PyObject *
bound_answer(Call *call, Bound *bound, int absent)
{
    Moment moment = {NAN, NAN};
    if (!absent) {
        PyObject *value = hit(call, bound, &moment);
        if (value != NULL || PyErr_Occurred()) {
            return value;
        }
    }
    return led(call, bound, moment.exact);
}

/* The same of a call that is to be bound.  Its room on the stack is its own: a recursion of calls that are simple goes as
 * much deeper. */
static Py_NO_INLINE PyObject *
bind_and_answer(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames, int absent)
{
    Bound bound;
    PyObject *answer = NULL, *lead_made = Py_XNewRef(call->copies[WORD_LEAD_MADE]);
    if (bind_call(call, &bound, args, nargsf, kwnames) && bind_key(call, &bound) > 0) {
        answer = bound_answer(call, &bound, absent);
        if (answer == NULL && lead_made != NULL && !PyErr_Occurred()) {
            answer = made_led(&bound, lead_made);
        }
    }
    bound_end(&bound);
    Py_XDECREF(lead_made);
    return answer;
}

/* Answer a call by a look-up, or by leading it.  NULL without an exception: a doubt. */
static inline PyObject *
look_or_lead(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *answer = NULL;
    int absent = !call->recipe->looks;
    if (kwnames == NULL && !absent) {
        answer = quick_hit(call, args, nargsf, &absent);
        if (answer != NULL || PyErr_Occurred()) {
            return answer;
        }
    }
    if (call->condition == READY) { /* else the comparison has changed something */
        if (absent && kwnames == NULL) {
            answer = quick_led(call, args, nargsf);
            if (answer != NULL || PyErr_Occurred() || call->condition != READY) {
                return answer;
            }
        }
        answer = bind_and_answer(call, args, nargsf, kwnames, absent);
    }
    return answer;
}

/* Whether a call can be bound; the same of its room on the stack. */
static Py_NO_INLINE int
can_bind(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Bound bound;
    int binds = bind_call(call, &bound, args, nargsf, kwnames);
    bound_end(&bound);
    return binds;
}

/* Whether a call surely binds: that it does not is the wrapper's to say. */
static int
call_binds(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Recipe *recipe = call->recipe;
    Py_ssize_t given = PyVectorcall_NARGS(nargsf);
    return (kwnames == NULL && given == recipe->count && given == recipe->positional)
        || can_bind(call, args, nargsf, kwnames);
}

static PyObject *coroutine_for(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames); /* section 7 */

/* Answer a call as the wrapper does. */
static PyObject *
call_answer(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (is_ready(call)) {
        Recipe *recipe = call->recipe;
        PyObject *answer = recipe->records ? answer_record(call, args, nargsf, kwnames)
            : recipe->is_async ? coroutine_for(call, args, nargsf, kwnames)
            : look_or_lead(call, args, nargsf, kwnames);
        if (answer != NULL || PyErr_Occurred()) {
            return answer;
        }
    }
    return PyObject_Vectorcall(call->wrapper, args, nargsf, kwnames);
}

/* ---- recipes */

static int
take_names(Recipe *recipe, PyObject *names)
{
    recipe->count = (int)PyTuple_GET_SIZE(names);
    if (PyTuple_GET_SIZE(names) > MOST_PARAMETERS || recipe->positional > recipe->count
        || recipe->only_positional > recipe->positional || recipe->instance >= recipe->count) {
        PyErr_SetString(PyExc_ValueError, "Recipe: the parameters do not add up");
        return -1;
    }
    recipe->names = PyTuple_New(recipe->count);
    for (int i = 0; recipe->names != NULL && i < recipe->count; i++) {
        PyObject *name = Py_NewRef(PyTuple_GET_ITEM(names, i));
        if (!PyUnicode_CheckExact(name)) {
            Py_DECREF(name);
            PyErr_SetString(PyExc_TypeError, "Recipe: a name is no text");
            return -1;
        }
        PyUnicode_InternInPlace(&name);
        PyTuple_SET_ITEM(recipe->names, i, name);
    }
    return recipe->names == NULL ? -1 : 0;
}

static int
check_parts(Recipe *recipe)
{
    Py_ssize_t size = PyBytes_GET_SIZE(recipe->parts);
    const char *parts = PyBytes_AS_STRING(recipe->parts);
    int fits = size % 2 == 0 && (recipe->is_tuple || size == 2);
    for (Py_ssize_t i = 0; fits && i < size; i += 2) {
        fits = strchr("vty*TY0wlk", parts[i]) != NULL && parts[i] != 0 && parts[i + 1] >= 0
            && (parts[i + 1] < recipe->count || strchr("vtyw", parts[i]) == NULL);
    }
    Py_ssize_t given = PyBytes_GET_SIZE(recipe->given);
    fits = fits && given <= MOST_PARAMETERS;
    for (Py_ssize_t i = 0; fits && i < given; i++) {
        fits = PyBytes_AS_STRING(recipe->given)[i] >= 0 && PyBytes_AS_STRING(recipe->given)[i] < recipe->count;
    }
    fits = fits && (recipe->given_names == NULL || PyTuple_GET_SIZE(recipe->given_names) <= given);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "Recipe: the parts of a key make no sense");
        return -1;
    }
    return 0;
}

/* See quick_hit(). */
static int
quick_parameter(Recipe *recipe)
{
    const char *parts = PyBytes_AS_STRING(recipe->parts);
    int fits = !recipe->is_tuple && (parts[0] == PART_VALUE || parts[0] == PART_TOLD) && !recipe->idles && !recipe->copies
        && recipe->positional == recipe->count && recipe->count == 1 + (recipe->instance >= 0)
        && PyTuple_GET_ITEM(recipe->words, WORD_RING) == Py_None;
    return fits ? parts[1] : -1;
}

static PyObject *
recipe_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {
        "names", "positional", "only_positional", "star", "instance", "parts", "is_tuple", "given",
        "given_names", "words", "marks", "stars", "ages", "serves_stale", "idles", "copies", "records",
        "is_async", "looks", NULL,
    };
    PyObject *names;
    Recipe *recipe = (Recipe *)type->tp_alloc(type, 0);
    if (recipe == NULL) {
        return NULL;
    }
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "$O!iipiSpSO!O!(O!OO!)pppppppp", keywords, &PyTuple_Type, &names, &recipe->positional,
            &recipe->only_positional, &recipe->star, &recipe->instance, &recipe->parts, &recipe->is_tuple,
            &recipe->given, &PyTuple_Type, &recipe->given_names, &PyTuple_Type, &recipe->words, &PyFrozenSet_Type, &recipe->bare, &recipe->told, &PyType_Type, &recipe->token,
            &recipe->stars, &recipe->ages, &recipe->serves_stale,
            &recipe->idles, &recipe->copies, &recipe->records, &recipe->is_async, &recipe->looks)) {
        recipe->parts = recipe->given = recipe->given_names = recipe->words = recipe->bare = recipe->told = NULL;
        recipe->token = NULL;
        Py_DECREF(recipe);
        return NULL;
    }
    Py_INCREF(recipe->parts);
    Py_INCREF(recipe->given);
    recipe->given_names = PyTuple_GET_SIZE(recipe->given_names) == 0 ? NULL : Py_NewRef(recipe->given_names);
    Py_INCREF(recipe->words);
    Py_INCREF(recipe->bare);
    Py_INCREF(recipe->told);
    Py_INCREF(recipe->token);
    recipe->table_at = member_at(recipe->token, "table");
    if (take_names(recipe, names) < 0 || check_parts(recipe) < 0) {
        Py_DECREF(recipe);
        return NULL;
    }
    if (recipe->count > recipe->positional) {
        recipe->named_alone = PyTuple_GetSlice(recipe->names, recipe->positional, recipe->count);
        if (recipe->named_alone == NULL) {
            Py_DECREF(recipe);
            return NULL;
        }
    }
    if (PyTuple_GET_SIZE(recipe->words) != WORDS || recipe->table_at < 0) {
        PyErr_SetString(PyExc_ValueError, "Recipe: words or marks are not those that C knows");
        Py_DECREF(recipe);
        return NULL;
    }
    recipe->quick = quick_parameter(recipe);
    return (PyObject *)recipe;
}

static void
recipe_dealloc(Recipe *recipe)
{
    PyTypeObject *type = Py_TYPE(recipe);
    Py_XDECREF(recipe->names);
    Py_XDECREF(recipe->named_alone);
    Py_XDECREF(recipe->parts);
    Py_XDECREF(recipe->given);
    Py_XDECREF(recipe->given_names);
    Py_XDECREF(recipe->words);
    Py_XDECREF(recipe->bare);
    Py_XDECREF(recipe->told);
    Py_XDECREF(recipe->token);
    type->tp_free(recipe);
    Py_DECREF(type);
}

static PyType_Slot recipe_slots[] = {
    {Py_tp_doc, "How calls of a function are bound, and what their keys consist of."},
    {Py_tp_new, recipe_new},
    {Py_tp_dealloc, recipe_dealloc},
    {0, NULL},
};

/* No object of the collector's: it refers to text, and to types and marks of modules. */
static PyType_Spec recipe_spec = {"memo._native._speed.Recipe", sizeof(Recipe), 0, Py_TPFLAGS_DEFAULT, recipe_slots};

/* ---- calls */

static void
drop_copies(Call *call)
{
    PyObject *copies[WORDS], *together = call->together;
    call->condition = call->recipe == NULL ? CLOSED : STALE;
    memcpy(copies, call->copies, sizeof(copies));
    memset(call->copies, 0, sizeof(copies));
    call->together = NULL;
    Py_XDECREF(together);
    for (int i = 0; i < WORDS; i++) {
        Py_XDECREF(copies[i]); /* last: what dies here may call the function */
    }
}

static int
are_refs(State *state, PyObject *copy)
{
    return copy == NULL || Py_IS_TYPE(copy, state->Refs);
}

/* Make a tuple of the copies.  Returns 0 without memory. */
static int
put_together(Call *call)
{
    PyObject *tuple = PyTuple_New(WORDS);
    for (int i = 0; tuple != NULL && i < WORDS; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(call->copies[i] == NULL ? Py_None : call->copies[i]));
    }
    if (tuple == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_XSETREF(call->together, tuple);
    return 1;
}

/* Copy what the wrapper's globals hold.  Returns 0 if C cannot go by that. */
static int
read_copies(Call *call)
{
    Recipe *recipe = call->recipe;
    PyObject *globals = PyFunction_GET_GLOBALS(call->wrapper);
    PyObject *shared = ((PyFunctionObject *)call->wrapper)->func_builtins;
    State *state = call->state;
    for (int i = 0; i < WORDS; i++) {
        PyObject *word = PyTuple_GET_ITEM(recipe->words, i);
        PyObject *copy = NULL;
        if (word != Py_None && (copy = PyDict_GetItemWithError(globals, word)) == NULL
            && (copy = PyDict_GetItemWithError(shared, word)) == NULL) {
            PyErr_Clear();
            drop_copies(call);
            call->condition = CLOSED;
            return 0;
        }
        Py_XSETREF(call->copies[i], Py_XNewRef(copy));
    }
    PyObject *intake = call->copies[WORD_INTAKE], *index = call->copies[WORD_INDEX], *clock = call->copies[WORD_CLOCK];
    if (!are_refs(state, call->copies[WORD_REFS]) || !are_refs(state, call->copies[WORD_WEAK_REFS])
        || !are_refs(state, call->copies[WORD_LOOP_REFS])
        || !(intake == NULL || PyObject_TypeCheck(intake, state->IntakeFields))
        || !(index == NULL || is_index(state, index))
        || !(call->copies[WORD_RING] == NULL || PyObject_TypeCheck(call->copies[WORD_RING], state->Queue))) {
        drop_copies(call);
        call->condition = CLOSED;
        return 0;
    }
    call->is_monotonic = clock != NULL && clock == state->monotonic
        && PyCFunction_GET_FUNCTION(clock) == state->monotonic_in_c;
    if (recipe->records && !put_together(call)) {
        drop_copies(call);
        return 0;
    }
    call->condition = READY;
    return 1;
}

static PyObject *
call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *wrapper;
    State *state = state_of(type);
    if (state == NULL || kwargs != NULL || !PyArg_ParseTuple(args, "O!:Call", &PyFunction_Type, &wrapper)) {
        return NULL;
    }
    Call *call = (Call *)type->tp_alloc(type, 0);
    if (call != NULL) {
        call->state = state;
        call->wrapper = Py_NewRef(wrapper);
        call->condition = CLOSED;
    }
    return (PyObject *)call;
}

static int
call_traverse(Call *call, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(call));
    Py_VISIT(call->wrapper);
    Py_VISIT(call->form.type);
    Py_VISIT(call->together);
    for (int i = 0; i < WORDS; i++) {
        Py_VISIT(call->copies[i]);
    }
    return 0;
}

/* The wrapper stays, which is a function and can be cleared itself: whoever calls finds something to call. */
static int
call_clear(Call *call)
{
    drop_copies(call);
    call->condition = CLOSED;
    return 0;
}

static void
call_dealloc(Call *call)
{
    PyTypeObject *type = Py_TYPE(call);
    PyObject_GC_UnTrack(call);
    if (call->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)call);
    }
    call_clear(call);
    Py_XDECREF(call->form.type);
    Py_XDECREF(call->recipe);
    Py_XDECREF(call->wrapper);
    type->tp_free(call);
    Py_DECREF(type);
}

static PyObject *
call_get_recipe(Call *call, void *unused)
{
    return Py_NewRef(call->recipe == NULL ? Py_None : (PyObject *)call->recipe);
}

static int
call_set_recipe(Call *call, PyObject *value, void *unused)
{
    if (value == NULL || (value != Py_None && !Py_IS_TYPE(value, call->state->Recipe))) {
        PyErr_SetString(PyExc_TypeError, "Call.recipe: a Recipe is needed, or None");
        return -1;
    }
    PyObject *old = (PyObject *)call->recipe;
    call->recipe = value == Py_None ? NULL : (Recipe *)Py_NewRef(value);
    drop_copies(call);
    Py_XDECREF(old);
    return 0;
}

static PyObject *
call_get_stale(Call *call, void *unused)
{
    return PyBool_FromLong(call->condition == STALE);
}

static int
call_set_stale(Call *call, PyObject *value, void *unused)
{
    if (value != Py_True) {
        PyErr_SetString(PyExc_TypeError, "Call.stale: set it to True; the next call ends that");
        return -1;
    }
    drop_copies(call);
    return 0;
}

static PyObject *
call_call(Call *call, PyObject *args, PyObject *kwargs)
{
    return PyObject_Call(call->wrapper, args, kwargs);
}

static PyGetSetDef call_getset[] = {
    {"recipe", (getter)call_get_recipe, (setter)call_set_recipe, "How calls are answered; None: by the wrapper.", NULL},
    {"stale", (getter)call_get_stale, (setter)call_set_stale, "The wrapper's globals are to be read anew.", NULL},
    {NULL},
};

static PyMemberDef call_members[] = {
    {"wrapper", T_OBJECT, offsetof(Call, wrapper), READONLY, "What answers all that C does not."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Call, weakrefs), READONLY, NULL},
    {NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, "Answers the calls of a generated wrapper."},
    {Py_tp_new, call_new},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_call, call_call},
    {Py_tp_getset, call_getset},
    {Py_tp_members, call_members},
    {0, NULL},
};

static PyType_Spec call_spec = {
    "memo._native._speed.Call", sizeof(Call), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, call_slots,
};

static int
add_call(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->Recipe = add_type(module, &recipe_spec, NULL);
    state->Refs = add_type(module, &refs_spec, NULL);
    state->Call = add_type(module, &call_spec, NULL);
    PyObject *hashing = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){sO}", "hashing", "__hash__", Py_Ellipsis);
    if (hashing == NULL) {
        return -1;
    }
    state->hash_in_python = ((PyTypeObject *)hashing)->tp_hash;
    Py_DECREF(hashing);
    if (state->Recipe == NULL || state->Refs == NULL || state->Call == NULL) {
        return -1;
    }
    return 0;
}

/* ========================================================================================================= 6 Proxy
 *
 * The decorated function itself: called without a frame in between, as a function or as a method, and bound.
 *
 * Proxy derives from wrapt's CallableObjectProxy, whose size is known no sooner than it is imported: what it adds lies
 * behind that, where the type says that its vectorcall function is.
 *
 * - A Proxy owns its Call.  Until it has one (attach()), a call is wrapt's affair, which makes the wrapper.
 * - Types in Python derive from it.  They do not inherit on all versions that they can be called so; enable() says it of
 *   each.  Of a type whose instances bind as functions do, it also says that: then ``obj.f(x)`` makes no bound method.
 * - Binding is a Proxy that makes bound methods, of the class that know() was told of, which derives from Method.
 * - A Method owns what it calls and what it is bound to.  Python may set either, so it looks at each call what it has.
 */

typedef struct {
    vectorcallfunc vectorcall;
    Call *call;
} ProxyTail;

static inline ProxyTail *
tail_of(PyObject *proxy)
{
    return (ProxyTail *)((char *)proxy + Py_TYPE(proxy)->tp_vectorcall_offset);
}

static int proxy_traverse(PyObject *proxy, visitproc visit, void *arg);

/* wrapt's type, of a type that derives from it by way of Proxy.  It goes by what is there as long as the type lives: the
 * collector may have cleared a type, and with it the way to the module, before it comes to an instance. */
static inline PyTypeObject *
wrapped_proxy(PyTypeObject *type)
{
    while (type->tp_traverse != proxy_traverse || type->tp_base->tp_traverse == proxy_traverse) {
        type = type->tp_base;
    }
    return type->tp_base;
}

static PyObject *
proxy_first_call(PyObject *proxy, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    PyTypeObject *base = wrapped_proxy(Py_TYPE(proxy));
    PyObject *positional = PyTuple_New(count), *named = NULL, *result = NULL;
    if (positional == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(positional, i, Py_NewRef(args[i]));
    }
    Py_ssize_t names = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (names > 0 && (named = PyDict_New()) == NULL) {
        goto end;
    }
    for (Py_ssize_t i = 0; i < names; i++) {
        if (PyDict_SetItem(named, PyTuple_GET_ITEM(kwnames, i), args[count + i]) < 0) {
            goto end;
        }
    }
    result = base->tp_call(proxy, positional, named);
end:
    Py_DECREF(positional);
    Py_XDECREF(named);
    return result;
}

static PyObject *
proxy_vectorcall(PyObject *proxy, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Call *call = tail_of(proxy)->call;
    if (call == NULL) {
        return proxy_first_call(proxy, args, nargsf, kwnames);
    }
    Py_INCREF(call); /* the proxy may get another one meanwhile */
    PyObject *result = call_answer(call, args, nargsf, kwnames);
    Py_DECREF(call);
    return result;
}

static PyObject *
proxy_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *proxy = wrapped_proxy(type)->tp_new(type, args, kwargs);
    if (proxy != NULL) {
        tail_of(proxy)->vectorcall = proxy_vectorcall;
    }
    return proxy;
}

static int
proxy_traverse(PyObject *proxy, visitproc visit, void *arg)
{
    Py_VISIT(tail_of(proxy)->call);
    return wrapped_proxy(Py_TYPE(proxy))->tp_traverse(proxy, visit, arg);
}

static int
proxy_clear(PyObject *proxy)
{
    Py_CLEAR(tail_of(proxy)->call);
    return wrapped_proxy(Py_TYPE(proxy))->tp_clear(proxy);
}

static void
proxy_dealloc(PyObject *proxy)
{
    PyTypeObject *base = wrapped_proxy(Py_TYPE(proxy));
    PyObject_GC_UnTrack(proxy); /* wrapt does that, too, which is allowed */
    Py_CLEAR(tail_of(proxy)->call);
    base->tp_dealloc(proxy); /* which gives the type up as well */
}

static PyObject *
proxy_attach(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *proxy, *call;
    if (!PyArg_ParseTuple(args, "O!O!:attach", state->Proxy, &proxy, state->Call, &call)) {
        return NULL;
    }
    Py_XSETREF(tail_of(proxy)->call, (Call *)Py_NewRef(call));
    Py_RETURN_NONE;
}

static PyObject *
proxy_enable(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyTypeObject *type;
    int is_method;
    if (!PyArg_ParseTuple(args, "O!p:enable", &PyType_Type, &type, &is_method)) {
        return NULL;
    }
    if (!PyType_IsSubtype(type, state->Proxy) && !PyType_IsSubtype(type, state->Method)) {
        PyErr_SetString(PyExc_TypeError, "enable: a type is needed that derives from Proxy or from Method");
        return NULL;
    }
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL | (is_method ? Py_TPFLAGS_METHOD_DESCRIPTOR : 0);
    PyType_Modified(type);
    Py_RETURN_NONE;
}

/* ---- what it is bound to */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *function, *instance; /* own; NULL: not set */
    PyObject *weak_references;
} Method;

#define MOST_ON_STACK 8 /* arguments, beside the instance, that need no memory of their own */

static PyObject *
method_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Method *method = (Method *)self;
    if (method->function == NULL || method->instance == NULL) {
        PyErr_SetString(PyExc_AttributeError, "this method was never bound");
        return NULL;
    }
    Py_ssize_t count = PyVectorcall_NARGS(nargsf), all = count + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *function = Py_NewRef(method->function), *instance = Py_NewRef(method->instance), *result = NULL;
    PyObject *few[MOST_ON_STACK + 1], **with = few, *there = NULL;
    int borrows = (nargsf & PY_VECTORCALL_ARGUMENTS_OFFSET) != 0; /* the place before the first is ours for the time */
    if (borrows) {
        with = (PyObject **)args - 1;
        there = with[0];
    }
    else if (all > MOST_ON_STACK && (with = PyMem_Malloc((size_t)(all + 1) * sizeof(PyObject *))) == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    with[0] = instance;
    if (!borrows && all) {
        memcpy(with + 1, args, (size_t)all * sizeof(PyObject *));
    }
    result = PyObject_Vectorcall(function, with, (size_t)count + 1, kwnames);
    if (borrows) {
        with[0] = there;
    }
    else if (with != few) {
        PyMem_Free(with);
    }
end:
    Py_DECREF(instance);
    Py_DECREF(function);
    return result;
}

static PyObject *
method_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((Method *)self)->vectorcall = method_vectorcall;
    }
    return self;
}

static int
method_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Method *)self)->function);
    Py_VISIT(((Method *)self)->instance);
    return 0;
}

static int
method_clear(PyObject *self)
{
    Py_CLEAR(((Method *)self)->function);
    Py_CLEAR(((Method *)self)->instance);
    return 0;
}

static void
method_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((Method *)self)->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    method_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef method_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Method, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Method, weak_references), READONLY, NULL},
    {"__func__", T_OBJECT_EX, offsetof(Method, function), 0, NULL},
    {"__self__", T_OBJECT_EX, offsetof(Method, instance), 0, NULL},
    {NULL},
};

static PyType_Slot method_slots[] = {
    {Py_tp_doc, "A function and what is its first argument."},
    {Py_tp_new, method_new},
    {Py_tp_dealloc, method_dealloc},
    {Py_tp_traverse, method_traverse},
    {Py_tp_clear, method_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, method_members},
    {0, NULL},
};

static PyType_Spec method_spec = {
    "memo._native._speed.Method", sizeof(Method), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, method_slots,
};

/* obj.f, where that is no call: a bound method. */
static PyObject *
binding_get(PyObject *proxy, PyObject *instance, PyObject *owner)
{
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(proxy);
    }
    State *state = state_of(Py_TYPE(proxy));
    if (state == NULL) {
        return NULL;
    }
    if (state->Bound == NULL || !PyType_Check(state->Bound)
        || !PyType_IsSubtype((PyTypeObject *)state->Bound, state->Method)) {
        PyErr_SetString(PyExc_RuntimeError, "know() was not told of the class of bound methods");
        return NULL;
    }
    Method *method = (Method *)method_new((PyTypeObject *)state->Bound, NULL, NULL);
    if (method != NULL) {
        method->function = Py_NewRef(proxy);
        method->instance = Py_NewRef(instance);
    }
    return (PyObject *)method;
}

static PyType_Slot binding_slots[] = {
    {Py_tp_doc, "A proxy that is bound to instances as a function is."},
    {Py_tp_descr_get, binding_get},
    {Py_tp_dealloc, proxy_dealloc},
    {Py_tp_traverse, proxy_traverse},
    {Py_tp_clear, proxy_clear},
    {0, NULL},
};

static PyMethodDef proxy_functions[] = {
    {"attach", proxy_attach, METH_VARARGS, "Have the calls of a Proxy answered by a Call."},
    {"enable", proxy_enable, METH_VARARGS, "Have instances of a type called directly, and (True) as methods, too."},
    {NULL},
};

static int
add_proxy(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *wrapt = PyImport_ImportModule("wrapt");
    PyObject *base = wrapt == NULL ? NULL : PyObject_GetAttrString(wrapt, "CallableObjectProxy");
    Py_XDECREF(wrapt);
    if (base == NULL) {
        return -1;
    }
    PyTypeObject *type = (PyTypeObject *)base;
    if (!PyType_Check(base) || !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE | Py_TPFLAGS_HAVE_GC) || type->tp_call == NULL
        || type->tp_itemsize != 0 || type->tp_basicsize % sizeof(void *) != 0) {
        Py_DECREF(base);
        PyErr_SetString(PyExc_ImportError, "wrapt runs without its own extension, or has changed; bring it up to date");
        return -1;
    }
    Py_ssize_t at = type->tp_basicsize;
    PyMemberDef members[] = {
        {"__vectorcalloffset__", T_PYSSIZET, at + offsetof(ProxyTail, vectorcall), READONLY, NULL},
        {NULL},
    };
    PyType_Slot slots[] = {
        {Py_tp_doc, "A proxy that is called through C alone."},
        {Py_tp_new, proxy_new},
        {Py_tp_dealloc, proxy_dealloc},
        {Py_tp_traverse, proxy_traverse},
        {Py_tp_clear, proxy_clear},
        {Py_tp_call, PyVectorcall_Call},
        {Py_tp_members, members},
        {0, NULL},
    };
    PyType_Spec spec = {
        "memo._native._speed.Proxy", (int)(at + sizeof(ProxyTail)), 0,
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots,
    };
    state->Proxy = add_type(module, &spec, base);
    Py_DECREF(base);
    if (state->Proxy == NULL) {
        return -1;
    }
    PyType_Spec binding = {
        "memo._native._speed.Binding", (int)(at + sizeof(ProxyTail)), 0,
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, binding_slots,
    };
    state->Binding = add_type(module, &binding, (PyObject *)state->Proxy);
    state->Method = add_type(module, &method_spec, NULL);
    if (state->Binding == NULL || state->Method == NULL) {
        return -1;
    }
    /* not before: it has the offset of its base, which the interpreter asks for too early where it checks itself */
    state->Binding->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    return PyModule_AddFunctions(module, proxy_functions);
}

/* ===================================================================================================== 7 Coroutine
 *
 * What a call of a decorated coroutine function returns, where C knows the call: a coroutine in all but its type.  It is
 * bound at the call, so that a wrong call raises there, and looked up at the first step, as the wrapper's own would be.
 * A hit ends it in that step.  A miss that it leads (see below) it goes through with the function's own coroutine.  On any
 * doubt it makes the wrapper's own coroutine and hands on whatever comes to it.
 *
 * States:
 *
 *     CREATED   Nothing has happened yet: it holds the arguments as they came.
 *     BUSY      In its first step, or making the wrapper's coroutine, or in a step of a load that it leads: user code may
 *               run, and finds it executing.
 *     LED       It leads a load, and waits: `real` is the function's own coroutine, `flight` the running call.
 *     MADE      `real` stands in for it, whatever has become of that.
 *     ENDED     It has returned, raised or been closed without one, and holds no argument any more.
 *
 * - It warns that it was never awaited if it dies CREATED; one that is MADE leaves that to `real`.
 * - `await` takes the object itself for the iterator, which saves an object: it has an am_send (3.11), and a tp_iternext
 *   (later versions ask that of all but their own).  Python code sees neither: there is no `__next__` and no `__iter__`,
 *   and `__await__()` returns an iterator of its own, as that of a coroutine does.
 * - From 3.12 on a hit is returned by a StopIteration, whose making would cost as much as all the rest: so there is one
 *   spare, which an `await` takes the value from and lets go of.  The value stays in it until the coroutine dies, which
 *   is at once, since it is used only where nothing but that `await` holds the coroutine.
 * - The collector knows of all but the youngest, which mostly is dead before the next one is made, and is told of it then.
 * - Memory of dead ones is used again, but of none that the collector has finalized: that mark stays with the memory, and
 *   the next one there would never warn.
 *
 * Who owns what: the coroutine its call until it dies (which names it), the arguments while CREATED or BUSY, `real`.
 */

#define MOST_KEPT 6      /* calls with more arguments are the wrapper's affair */
#define MOST_WAITING 64  /* so much memory of dead ones is kept */

typedef enum { CREATED, BUSY, LED, MADE, ENDED } Stage;

typedef struct Coroutine {
    PyObject_HEAD
    PyObject *weakrefs;
    Call *call;
    union {
        PyObject *real;
        struct Coroutine *next; /* of a dead one whose memory waits to be used again */
    };
    PyObject *names; /* of the arguments given by name; NULL: none */
    PyObject *flight; /* of a load that it leads, or begins; NULL: it is the lone one of its table */
    Stage stage;
    char leads;         /* a load; it has no arguments any more, and what it needs for that lies in their place */
    char has_returned;  /* an `await` has taken its value from the spare exception */
    char was_finalized; /* its memory bears the collector's mark */
    int count; /* how many arguments, those by name included */
    PyObject *before; /* the callee's to use, by the rules of vectorcalls */
    union {
        PyObject *args[MOST_KEPT];
        struct {
            PyObject *leading; /* its TaskLeading */
            Py_hash_t hash;    /* of the flight's key, which is plain */
        } led;
    };
} Coroutine;

/* The iterator that `__await__()` returns. */
typedef struct {
    PyObject_HEAD
    Coroutine *coroutine;
} Awaiter;

static void
drop_arguments(Coroutine *self)
{
    int count = self->count;
    PyObject *names = self->names;
    self->count = 0;
    self->names = NULL;
    for (int i = 0; i < count; i++) {
        Py_DECREF(self->args[i]); /* nothing reads it any more: there are none by the count */
    }
    Py_XDECREF(names);
}

/* The state of the module that a call belongs to; NULL once the collector has begun to take that, or a type, apart. */
static inline State *
state_left(PyTypeObject *type, Call *call)
{
    return ((PyHeapTypeObject *)type)->ht_module == NULL || call->state->is_over ? NULL : call->state;
}

/* Have the collector know of a coroutine. */
static void
track(State *state, Coroutine *self)
{
    if (state != NULL && state->young == self) {
        state->young = NULL;
    }
    if (!PyObject_GC_IsTracked((PyObject *)self)) {
        PyObject_GC_Track(self);
    }
}

/* A coroutine for a call; NULL without an exception: a doubt. */
static PyObject *
coroutine_for(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    State *state = state_left(Py_TYPE(call), call);
    Py_ssize_t count = PyVectorcall_NARGS(nargsf) + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (state == NULL || state_left(state->Coroutine, call) == NULL || count > MOST_KEPT
        || PyThreadState_Get()->coroutine_origin_tracking_depth > 0 || !call_binds(call, args, nargsf, kwnames)) {
        return NULL; /* the wrapper's own knows its origin, and raises what a wrong call raises */
    }
    if (state->young != NULL) {
        track(state, state->young);
    }
    Coroutine *self = state->waiting;
    if (self != NULL) {
        state->waiting = self->next;
        state->waiting_count--;
        Py_INCREF(state->Coroutine);
        _Py_NewReference((PyObject *)self); /* its type it still has */
    }
    else if ((self = PyObject_GC_New(Coroutine, state->Coroutine)) == NULL) {
        return NULL;
    }
    state->young = self;
    self->weakrefs = self->real = NULL;
    self->call = (Call *)Py_NewRef(call);
    self->names = Py_XNewRef(kwnames);
    self->stage = CREATED;
    self->leads = self->has_returned = self->was_finalized = 0;
    self->count = (int)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        self->args[i] = Py_NewRef(args[i]);
    }
    return (PyObject *)self;
}

/* Hand on to `real`, which was just made, whatever comes to a coroutine from now on. */
static void
go_by_real(Coroutine *self)
{
    self->stage = MADE;
    track(state_left(Py_TYPE(self), self->call), self);
    drop_arguments(self);
}

/* Have the wrapper's coroutine stand in for one that is CREATED or BUSY.  If that fails the stage is as it was. */
static int
make_real(Coroutine *self)
{
    Stage before = self->stage;
    self->stage = BUSY; /* what the collector runs meanwhile cannot begin it */
    size_t positional = self->count - (self->names == NULL ? 0 : PyTuple_GET_SIZE(self->names));
    self->real = PyObject_Vectorcall(
        self->call->wrapper, self->args, positional | PY_VECTORCALL_ARGUMENTS_OFFSET, self->names);
    if (self->real == NULL) {
        self->stage = before;
        return -1;
    }
    go_by_real(self);
    return 0;
}

/* ---- leading a miss in the task that awaits it
 *
 * What CallerFlights does of a call that finds nobody running, as far as it is alone: its flight, its place in the table,
 * its end.  A coroutine does it all by itself (LED); where that is no case for C the wrapper asks for it piece by piece
 * (led_await), and on any doubt the Python functions do it, with the same flight; what fails is theirs, too.
 *
 * A TaskLeading owns what it refers to, none of which refers to it, and flights that have ended, to serve again. */

#define TASK_LEADING_OBJECTS(V) V(leading) V(born) V(enter) V(come_out) V(rescue)
#define MOST_SPARE 16 /* so many flights are kept to serve again */

typedef struct {
    PyObject_HEAD
#define V(name) PyObject *name;
    TASK_LEADING_OBJECTS(V)
#undef V
    int is_plain; /* calls have no deadline */
    int shares;   /* they share what runs */
    int spare_count;
    PyObject *spare[MOST_SPARE]; /* as they were at their birth, but for when that was, whose, and where */
} TaskLeading;

#define ROOM_NEEDED 32 /* calls within each other; need_depth() asks for less */

/* Whether there is so much room on the stack that Python need not look. */
static inline int
has_room(PyThreadState *thread)
{
#if PY_VERSION_HEX >= 0x030C0000
    return thread->py_recursion_remaining > ROOM_NEEDED && thread->c_recursion_remaining > ROOM_NEEDED;
#else
    return thread->recursion_remaining > ROOM_NEEDED;
#endif
}

/* -- birth */

/* The work of a new flight; NULL with an exception. */
static PyObject *
work_born(State *state)
{
    PyTypeObject *kind = (PyTypeObject *)state->Work;
    PyObject *awaits = PyDict_New();
    PyObject *work = awaits == NULL ? NULL : kind->tp_alloc(kind, 0);
    if (work == NULL) {
        Py_XDECREF(awaits);
        return NULL;
    }
    SLOT(work, state->at_Work_awaits) = awaits;
    SLOT(work, state->at_Work_over) = Py_NewRef(Py_False);
    SLOT(work, state->at_Work_left) = Py_NewRef(Py_False);
    SLOT(work, state->at_Work_within) = Py_NewRef(Py_None);
    return work;
}

/* A flight as task_flight() makes it for a call, without its work; takes the references to *leader* and *started*.  NULL
 * with an exception. */
static PyObject *
task_flight_made(State *state, PyObject *leader, PyObject *started)
{
    PyTypeObject *kind = (PyTypeObject *)state->TaskFlight;
    PyObject *flight = kind->tp_alloc(kind, 0);
    if (flight == NULL) {
        Py_DECREF(leader);
        Py_DECREF(started);
        return NULL;
    }
    SLOT(flight, state->at_InFlight_started) = started;
    SLOT(flight, state->at_InFlight_leader) = leader;
#define SET(owner, slot, value) SLOT(flight, state->at_##owner##_##slot) = Py_NewRef(value)
    SET(InFlight, key, Py_None);
    SET(InFlight, over, Py_False);
    SET(InFlight, led, Py_False);
    SET(InFlight, fenced, Py_False);
    SET(InFlight, current, Py_True);
    SET(InFlight, purpose, state->CALL);
    SET(InFlight, tags, state->no_tags);
    SET(InFlight, waiters, Py_None);
    SET(InFlight, present, state->one);
    SET(InFlight, joined, state->zero);
    SET(InFlight, state, state->RUNNING);
    SET(TaskFlight, struck, Py_False);
    SET(TaskFlight, cancelling, state->zero);
    SET(TaskFlight, task, Py_None);
    SET(TaskFlight, timer, Py_None);
    SET(TaskFlight, alarm, Py_None);
    SET(TaskFlight, when_done, Py_None);
    SET(TaskFlight, bound, Py_None);
    SET(TaskFlight, inside, Py_None);
    SET(TaskFlight, left_at, Py_None);
    SET(TaskFlight, loop, Py_None);
#undef SET
    return flight;
}

/* A flight that begins now; NULL with an exception, or without one: a doubt.  Whichever greenlet runs, its leader is a
 * task, which goes by its thread. */
static PyObject *
task_flight_born(State *state, TaskLeading *self)
{
    Leading *l = (Leading *)self->leading;
    double now = 0;
    if (exact_time(state, SLOT(l->clock, state->at_Clock_read), &now) <= 0) {
        return NULL;
    }
    PyObject *leader = thread_number(l);
    if (leader == NULL) {
        return NULL;
    }
    if (self->spare_count == 0) {
        PyObject *started = PyFloat_FromDouble(now);
        return started == NULL ? NULL : task_flight_made(state, Py_NewRef(leader), started);
    }
    PyObject *flight = self->spare[--self->spare_count], *started = SLOT(flight, state->at_InFlight_started);
    if (Py_REFCNT(started) == 1) {
        ((PyFloatObject *)started)->ob_fval = now;
    }
    else if ((started = PyFloat_FromDouble(now)) != NULL) {
        fill_slot(flight, state->at_InFlight_started, started);
    }
    else {
        Py_DECREF(flight);
        return NULL;
    }
    if (SLOT(flight, state->at_InFlight_leader) != leader) {
        fill_slot(flight, state->at_InFlight_leader, Py_NewRef(leader));
    }
    return flight;
}

/* Whether an object of Python's has weak references. */
static inline int
has_weak_references(PyObject *object)
{
    return *(PyObject **)((char *)object + Py_TYPE(object)->tp_weaklistoffset) != NULL;
}

/* Let go of a flight; one that ended as most do, alone, and that nobody else has, serves again. */
static void
task_flight_done(State *state, TaskLeading *self, PyObject *flight)
{
#define IS(owner, slot, expected) (SLOT(flight, state->at_##owner##_##slot) == (expected))
    if (Py_REFCNT(flight) == 1 && self->spare_count < MOST_SPARE && IS(InFlight, state, state->RETURNED)
        && !has_weak_references(flight) && PyFloat_CheckExact(SLOT(flight, state->at_InFlight_started))
        && IS(InFlight, waiters, Py_None) && IS(InFlight, present, state->zero) && IS(InFlight, joined, state->zero)
        && IS(InFlight, over, Py_False) && IS(InFlight, fenced, Py_False) && IS(InFlight, tags, state->no_tags)
        && IS(InFlight, purpose, state->CALL) && IS(InFlight, error, NULL) && IS(InFlight, traceback, NULL)
        && IS(InFlight, heir, NULL) && IS(InFlight, was_current, NULL) && IS(InFlight, after, NULL)
        && IS(InFlight, current, Py_True) && IS(TaskFlight, struck, Py_False) && IS(TaskFlight, cancelling, state->zero)
        && IS(TaskFlight, timer, Py_None) && IS(TaskFlight, alarm, Py_None) && IS(TaskFlight, when_done, Py_None)
        && IS(TaskFlight, bound, Py_None) && IS(TaskFlight, inside, Py_None) && IS(TaskFlight, left_at, Py_None)) {
        PyObject *value = SLOT(flight, state->at_InFlight_value), *key = SLOT(flight, state->at_InFlight_key);
        PyObject *task = SLOT(flight, state->at_TaskFlight_task), *loop = SLOT(flight, state->at_TaskFlight_loop);
        SLOT(flight, state->at_InFlight_value) = NULL;
        SLOT(flight, state->at_InFlight_key) = Py_NewRef(Py_None);
        SLOT(flight, state->at_TaskFlight_task) = Py_NewRef(Py_None);
        SLOT(flight, state->at_TaskFlight_loop) = Py_NewRef(Py_None);
        fill_slot(flight, state->at_InFlight_led, Py_NewRef(Py_False));
        fill_slot(flight, state->at_InFlight_state, Py_NewRef(state->RUNNING));
        PyObject *work = SLOT(flight, state->at_TaskFlight_work);
        SLOT(flight, state->at_TaskFlight_work) = NULL;
        self->spare[self->spare_count++] = flight;
        Py_XDECREF(work);
        Py_XDECREF(value);
        Py_XDECREF(key);
        Py_XDECREF(task);
        Py_XDECREF(loop);
        return;
    }
#undef IS
    Py_DECREF(flight);
}

/* -- its place in the table */

/* Where a call is led; references of its own. */
typedef struct {
    PyObject *loop, *task;
    PyObject *mark; /* the work that marks the context already, and has ended; NULL: none that could serve again */
    Py_hash_t hash; /* of the key */
} Whereabouts;

/* The version of a dictionary: no other has the same, and no change leaves it as it was. */
static inline uint64_t
version_of(PyObject *dictionary)
{
    _Py_COMP_DIAG_PUSH
    _Py_COMP_DIAG_IGNORE_DEPR_DECLS
    return ((PyDictObject *)dictionary)->ma_version_tag;
    _Py_COMP_DIAG_POP
}

/* Likewise of an index. */
static inline uint64_t
index_version(State *state, PyObject *index)
{
    return is_large(state, index) ? ((LargeTable *)index)->version : version_of(index);
}

/* What asyncio notes of a thread's loop lies in the thread's dictionary, which has it until it changes. */
static inline void
know_loop(State *state, PyObject *of_thread, PyObject *loop)
{
    state->loop_known = loop;
    state->loop_seen = loop == Py_None ? 0 : version_of(of_thread);
}

#if PY_VERSION_HEX < 0x030C0000 && !defined(MS_WINDOWS)
/* What asyncio of this version notes of a thread's loop.  At each look it asks the system whether the process has been
 * forked since, which takes as long as half a load; this goes by what is told of forks (forked()). */
typedef struct {
    PyObject_HEAD
    PyObject *loop;
    pid_t pid;
} LoopHolderView;

static PyObject *
loop_asked(State *state, PyObject *of_thread)
{
    PyObject *holder = of_thread == NULL ? NULL : PyDict_GetItemWithError(of_thread, state->loop_name);
    LoopHolderView *view = (LoopHolderView *)holder;
    if (holder != NULL && (PyObject *)Py_TYPE(holder) == state->LoopHolder && view->pid == state->pid) {
        know_loop(state, of_thread, view->loop);
        return Py_NewRef(view->loop);
    }
    Py_XINCREF(holder);
    PyObject *loop = PyObject_CallNoArgs(state->running_loop);
    if (holder != NULL && loop != NULL && loop != Py_None && state->LoopHolder == NULL
        && PyCFunction_CheckExact(state->running_loop) && Py_TYPE(holder)->tp_basicsize == sizeof(LoopHolderView)
        && view->loop == loop && view->pid == state->pid) { /* it is what it is thought to be */
        state->LoopHolder = Py_NewRef((PyObject *)Py_TYPE(holder));
    }
    Py_XDECREF(holder);
    return loop;
}
#else
static PyObject *
loop_asked(State *state, PyObject *of_thread)
{
    PyObject *ask = state->running_loop;
    if (PY_VERSION_HEX >= 0x030D0000 && PyCFunction_CheckExact(ask) && PyCFunction_GET_FLAGS(ask) == METH_NOARGS) {
        return PyCFunction_GET_FUNCTION(ask)(PyCFunction_GET_SELF(ask), NULL); /* it notes the loop beside the dictionary */
    }
    PyObject *loop = PyObject_CallNoArgs(ask);
    if (of_thread != NULL && loop != NULL && PyDict_GetItemWithError(of_thread, state->loop_name) == loop) {
        know_loop(state, of_thread, loop);
    }
    return loop;
}
#endif

/* The event loop of this thread, or None; a new reference. */
static inline PyObject *
loop_here(State *state, PyThreadState *thread)
{
    if (thread->dict != NULL && version_of(thread->dict) == state->loop_seen) {
        return Py_NewRef(state->loop_known);
    }
    return loop_asked(state, thread->dict);
}

static void
note_process(State *state)
{
    state->loop_seen = 0;
#if PY_VERSION_HEX < 0x030C0000 && !defined(MS_WINDOWS)
    state->pid = getpid();
#endif
}

/* The task that runs in a loop, or None; a new reference. */
static inline PyObject *
task_here(State *state, PyObject *loop)
{
    PyObject *tasks = state->current_tasks;
    if (tasks == NULL || !PyDict_CheckExact(tasks)) {
        return PyObject_CallOneArg(state->current_task, loop);
    }
    if (state->tasks_seen == version_of(tasks) && state->tasks_loop == loop) {
        return Py_NewRef(state->task_known);
    }
#if PY_VERSION_HEX < 0x030C0000
    PyObject *task = PyDict_GetItemWithError(tasks, loop);
    task = task != NULL ? Py_NewRef(task) : PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
#else
    PyObject *task = PyObject_CallOneArg(state->current_task, loop);
#endif
    if (task != NULL && PyDict_GetItemWithError(tasks, loop) == task) {
        state->tasks_seen = version_of(tasks);
        state->tasks_loop = loop;
        state->task_known = task;
    }
    return task;
}

/* What is sought in what a context consists of, and how deep. */
typedef struct {
    State *state;
    PyObject *sought;
    int depth;
} Search;

/* Whether an object is what is sought, or one that nobody else refers to, and contains it likewise. */
static int
is_or_owns(PyObject *object, void *arg)
{
    Search *search = arg;
    PyObject *kind = (PyObject *)Py_TYPE(object);
    if (object == search->sought) {
        return 1;
    }
    if ((kind != search->state->HamtNode && kind != search->state->Hamt) || Py_REFCNT(object) != 1 || search->depth > 8) {
        return 0;
    }
    search->depth++;
    int found = Py_TYPE(object)->tp_traverse(object, is_or_owns, search);
    search->depth--;
    return found;
}

/* Whether a variable of *context* has the value *mark*, to which the caller refers, too, and nobody and nothing else.  A copy
 * shares what a context consists of, until one of them changes, and parts of it then. */
static inline int
is_marked_alone(State *state, PyObject *context, PyObject *mark)
{
    Search search = {state, mark, 0};
    return context != NULL && Py_REFCNT(mark) == 2 && PyContext_CheckExact(context)
        && Py_TYPE(context)->tp_traverse(context, is_or_owns, &search);
}

/* Whether a work is as it was at its birth, but for that it is over. */
static inline int
is_like_new(State *state, PyObject *work)
{
    PyObject *awaits = SLOT(work, state->at_Work_awaits);
    return awaits != NULL && PyDict_CheckExact(awaits) && PyDict_GET_SIZE(awaits) == 0
        && SLOT(work, state->at_Work_left) == Py_False && SLOT(work, state->at_Work_within) == Py_None
        && !has_weak_references(work);
}

/* Whether what marks a context, or None, is no work, or one that has ended, and so has whatever that was within. */
static int
is_over(State *state, PyObject *mark)
{
    while (mark != NULL && mark != Py_None) {
        if (!Py_IS_TYPE(mark, (PyTypeObject *)state->Work) || SLOT(mark, state->at_Work_over) != Py_True) {
            return 0;
        }
        mark = SLOT(mark, state->at_Work_within);
    }
    return 1;
}

/* The mark of the present context, borrowed, where no other context has it and nobody else refers to it; NULL: nobody
 * knows at once. */
static inline PyObject *
mark_here(State *state, PyThreadState *thread)
{
    PyObject *context = thread->context;
    if (state->at_vars == 0 || context == NULL || !PyContext_CheckExact(context)) {
        return NULL;
    }
    PyObject *variables = SLOT(context, state->at_vars);
    if (variables == NULL || (PyObject *)Py_TYPE(variables) != state->Hamt || Py_REFCNT(variables) != 1) {
        return NULL;
    }
    PyObject *node = SLOT(variables, state->at_root);
    if (node == NULL || (PyObject *)Py_TYPE(node) != state->HamtNode || Py_REFCNT(node) != 1) {
        return NULL;
    }
    PyObject **pairs = &SLOT(node, state->at_pairs);
    if (state->mark_place >= Py_SIZE(node) || pairs[state->mark_place] != state->work_mark) {
        Py_ssize_t at = 0;
        while (at < Py_SIZE(node) && pairs[at] != state->work_mark) {
            at += 2;
        }
        if (at >= Py_SIZE(node)) {
            return NULL;
        }
        state->mark_place = at;
    }
    PyObject *mark = pairs[state->mark_place + 1];
    return mark != NULL && Py_REFCNT(mark) == 1 ? mark : NULL;
}

/* Learn where a call with *key* is; 0: that is no case for C, or -1 with an exception, and there is nothing to give up. */
static int
whereabouts(State *state, TaskLeading *self, PyObject *key, Whereabouts *here)
{
    PyObject *mark;
    PyThreadState *thread = PyThreadState_Get();
    if (!self->is_plain || !is_plain(state, key) || !has_room(thread)) {
        return 0;
    }
    here->hash = PyObject_Hash(key);
    here->mark = NULL;
    mark = mark_here(state, thread);
    if (mark != NULL && Py_IS_TYPE(mark, (PyTypeObject *)state->Work) && SLOT(mark, state->at_Work_over) == Py_True
        && is_like_new(state, mark)) {
        here->mark = Py_NewRef(mark);
        mark = NULL;
    }
    else if (PyContextVar_Get(state->work_mark, NULL, &mark) < 0) {
        return -1;
    }
    if (mark != NULL && mark != Py_None) {
        if (!is_over(state, mark)) {
            Py_DECREF(mark);
            return 0; /* it is to be noted who waits for whom */
        }
        if (is_like_new(state, mark) && is_marked_alone(state, thread->context, mark)) {
            here->mark = Py_NewRef(mark);
        }
    }
    Py_XDECREF(mark);
    here->loop = loop_here(state, thread);
    here->task = here->loop == NULL || here->loop == Py_None ? NULL : task_here(state, here->loop);
    if (here->task == NULL) {
        Py_XDECREF(here->mark);
        Py_XDECREF(here->loop);
        return PyErr_Occurred() ? -1 : 0;
    }
    return 1;
}

static inline void
forget_whereabouts(Whereabouts *here)
{
    Py_DECREF(here->loop);
    Py_DECREF(here->task);
    Py_XDECREF(here->mark);
}

/* -- one that has not waited yet
 *
 * Most loads that end without having waited are never looked for.  So a load has no flight at first: it is the lone one of
 * its table of running calls, which is a dictionary that puts it in as soon as anything in Python looks, or whatever C puts
 * another one in; and at the latest when it waits.  Whatever would have found a flight finds it.
 *
 * - There is at most one, whose key is plain, and not in the table otherwise.
 * - C that asks whether a flight is the current one of its key need not have it come forward: it is another one's key, or
 *   that flight is no more the current one.
 * - Its coroutine is BUSY, in its first step, which ends with it; a table owns what the flight is to be made of.
 */

typedef struct {
    PyDictObject dictionary;
    Coroutine *lone;                    /* borrowed; NULL: there is none, and nothing else is set */
    PyObject *key, *loop, *task, *work; /* own */
    PyObject *index;                    /* the store's, borrowed */
    uint64_t seen;                      /* the version of that, in which there was nothing of the key */
    double started;
    unsigned long thread;
} Running;

/* Make the flight of a lone load, and put it in.  -1 with an exception: there is no memory. */
static int
come_forward(Running *running)
{
    while (running->lone != NULL) {
        Coroutine *self = running->lone;
        State *state = self->call->state;
        PyObject *started = PyFloat_FromDouble(running->started), *leader = PyLong_FromUnsignedLong(running->thread);
        if (started == NULL || leader == NULL) {
            Py_XDECREF(started);
            Py_XDECREF(leader);
            return -1;
        }
        PyObject *flight = task_flight_made(state, leader, started);
        if (flight == NULL) {
            return -1;
        }
        if (running->lone != self) { /* what the collector ran has looked, too */
            Py_DECREF(flight);
            continue;
        }
        PyObject *current = PyDict_SetDefault((PyObject *)running, running->key, flight);
        if (current == NULL) {
            Py_DECREF(flight);
            return -1;
        }
        running->lone = NULL;
        self->flight = flight;
        fill_slot(flight, state->at_InFlight_present, Py_NewRef(state->zero));
        fill_slot(flight, state->at_InFlight_led, Py_NewRef(Py_True));
        fill_slot(flight, state->at_InFlight_key, running->key);
        fill_slot(flight, state->at_TaskFlight_loop, running->loop);
        fill_slot(flight, state->at_TaskFlight_task, running->task);
        fill_slot(flight, state->at_TaskFlight_work, running->work);
        running->key = running->loop = running->task = running->work = NULL;
    }
    return 0;
}

/* Whether anything new may be put into the store here and now, as may_put() asks of that of a flight. */
static inline int
may_put_into(State *state, Leading *l, PyObject *index)
{
    PyObject *put_off = SLOT(l->changes, state->at_Changes_put_off);
    return put_off != NULL && !state->tells_evictions && SLOT(l->changes, state->at_Changes_busy) == Py_False
        && SLOT(l->changes, state->at_Changes_torn) == Py_False && SLOT(l->owners, state->at_Owners_apart) == Py_False
        && PyObject_Size(put_off) == 0 && lock_is_free(state, l->lock) && has_no_boxes(state, l)
        && !(PyDict_CheckExact(index)
             && goes_on_in_parts(state, PyDict_GET_SIZE(index), SLOT(l->shelf, state->at_Shelf_most)));
}

/* Let go of the lone load, which has ended. */
static inline void
lone_forget(Running *running)
{
    PyObject *key = running->key, *loop = running->loop, *task = running->task, *work = running->work;
    running->lone = NULL;
    running->key = running->loop = running->task = running->work = NULL;
    Py_DECREF(loop);
    Py_DECREF(task);
    Py_DECREF(work);
    Py_DECREF(key);
}

/* Have a load be the lone one of its table, if it can: then what *here* refers to is the table's.  0: nothing has happened.
 * `seen` is the version of `index` in which there was nothing of the key, if that is known. */
static int
begin_alone(State *state, TaskLeading *leading, Coroutine *self, PyObject *key, Whereabouts *here, PyObject *index,
            uint64_t seen)
{
    Leading *l = (Leading *)leading->leading;
    Running *running = (Running *)l->table;
    PyObject *read = SLOT(l->clock, state->at_Clock_read);
    PyObject *kept = l->changes == NULL ? NULL : SLOT(l->shelf, state->at_Shelf_index);
    if (here->mark == NULL || kept == NULL || !is_index(state, kept) || !Py_IS_TYPE(running, state->Running) || running->lone != NULL
        || PyDict_GET_SIZE(running) != 0 || read != state->monotonic || !has_no_boxes(state, l)) {
        return 0;
    }
    uint64_t version = index_version(state, kept);
    if ((kept != index || version != seen) && index_find(state, kept, key, here->hash) != NULL) {
        return 0;
    }
    if (exact_time(state, read, &running->started) <= 0) { /* which runs nothing, as the clock is known */
        PyErr_Clear();
        return 0;
    }
    running->lone = self;
    running->key = Py_NewRef(key);
    running->loop = here->loop;
    running->task = here->task;
    running->work = here->mark;
    running->index = kept;
    running->seen = version;
    running->thread = PyThread_get_thread_ident();
    fill_slot(here->mark, state->at_Work_over, Py_NewRef(Py_False));
    count(l->counters, state->at_Counters_led, 1);
    fetch_for_load(state, l, here->hash);
    return 1;
}

/* End the lone load of a table, which returned *value*: a new reference.  NULL: that is no case for this, and nothing has
 * happened. */
static PyObject *
lone_landed(State *state, Leading *l, Running *running, Py_hash_t hash, PyObject *value)
{
    PyTypeObject *kind = Py_TYPE(value);
    if (kind != &PyUnicode_Type && kind != &PyLong_Type && kind != &PyDict_Type && kind != &PyTuple_Type
        && kind != &PyList_Type && kind != &PyFloat_Type && value != Py_None) {
        return NULL; /* it is to be looked at, which may run anything */
    }
    PyObject *index = SLOT(l->shelf, state->at_Shelf_index), *read = SLOT(l->clock, state->at_Clock_read);
    double now;
    if (index == NULL || !is_index(state, index)
        || ((index != running->index || index_version(state, index) != running->seen)
            && index_find(state, index, running->key, hash) != NULL)
        || !may_put_into(state, l, index) || read != state->monotonic || exact_time(state, read, &now) <= 0) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *victim = NULL, *entry = entry_new(state, 0, value, now, now + l->life_s);
    if (entry == NULL
        || entry_put_lean(state, SLOT(l->shelf, state->at_Shelf_cache), running->key, hash, entry, &victim) < 0) {
        PyErr_Clear();
        Py_XDECREF(entry);
        return NULL;
    }
    fill_slot(running->work, state->at_Work_over, Py_NewRef(Py_True));
    add_seconds(l->counts, state->at_CallCounts_load_seconds, now - running->started);
    count(l->counters, state->at_Counters_completed, 1);
    if (victim != NULL) {
        count_victim(state, l, victim, now);
    }
    Py_INCREF(value);
    /* All is done; what left may run code of the user's as it goes. */
    lone_forget(running);
    Py_DECREF(entry);
    Py_XDECREF(victim);
    return value;
}

/* The state of a table's module; NULL with an exception. */
static inline State *
running_state(Running *running)
{
    return come_forward(running) < 0 ? NULL : state_of(Py_TYPE(running));
}

/* As a dictionary does what is asked, once the lone load has come forward. */
static PyObject *
as_dictionary(Running *running, PyObject *method, PyObject *const *args, Py_ssize_t number)
{
    PyObject *all[4] = {(PyObject *)running};
    if (number > 3) {
        PyErr_SetString(PyExc_TypeError, "a dictionary takes no more than 3 arguments here");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < number; i++) {
        all[i + 1] = args[i];
    }
    return PyObject_Vectorcall(method, all, number + 1, NULL);
}

#define RUNNING_METHODS(V) V(get) V(setdefault) V(pop) V(popitem) V(keys) V(items) V(values) V(update) V(clear) V(copy)
#define V(name)                                                                                                      \
    static PyObject *running_##name(Running *running, PyObject *const *args, Py_ssize_t number)                      \
    {                                                                                                                \
        State *state = running_state(running);                                                                       \
        return state == NULL ? NULL : as_dictionary(running, state->dict_##name, args, number);                      \
    }
RUNNING_METHODS(V)
#undef V

static Py_ssize_t
running_length(PyObject *self)
{
    return come_forward((Running *)self) < 0 ? -1 : PyDict_GET_SIZE(self);
}

static PyObject *
running_subscript(PyObject *self, PyObject *key)
{
    return come_forward((Running *)self) < 0 ? NULL : PyDict_Type.tp_as_mapping->mp_subscript(self, key);
}

static int
running_assign(PyObject *self, PyObject *key, PyObject *value)
{
    return come_forward((Running *)self) < 0 ? -1 : PyDict_Type.tp_as_mapping->mp_ass_subscript(self, key, value);
}

static int
running_contains(PyObject *self, PyObject *key)
{
    return come_forward((Running *)self) < 0 ? -1 : PyDict_Contains(self, key);
}

static PyObject *
running_iter(PyObject *self)
{
    return come_forward((Running *)self) < 0 ? NULL : PyDict_Type.tp_iter(self);
}

static PyObject *
running_repr(PyObject *self)
{
    return come_forward((Running *)self) < 0 ? NULL : PyDict_Type.tp_repr(self);
}

static PyObject *
running_compare(PyObject *self, PyObject *other, int operator)
{
    return come_forward((Running *)self) < 0 ? NULL : PyDict_Type.tp_richcompare(self, other, operator);
}

static int
running_traverse(PyObject *self, visitproc visit, void *arg)
{
    Running *running = (Running *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(running->key);
    Py_VISIT(running->loop);
    Py_VISIT(running->task);
    Py_VISIT(running->work);
    return PyDict_Type.tp_traverse(self, visit, arg);
}

static int
running_clear_all(PyObject *self)
{
    return PyDict_Type.tp_clear(self);
}

static PyMethodDef running_methods[] = {
#define V(name) {#name, (PyCFunction)(void (*)(void))running_##name, METH_FASTCALL, "As a dictionary's."},
    RUNNING_METHODS(V)
#undef V
    {NULL},
};

static PyType_Slot running_slots[] = {
    {Py_tp_doc, "The running calls of a function whose loads run in their callers' tasks, by their keys."},
    {Py_tp_methods, running_methods},
    {Py_mp_length, running_length},
    {Py_mp_subscript, running_subscript},
    {Py_mp_ass_subscript, running_assign},
    {Py_sq_contains, running_contains},
    {Py_tp_iter, running_iter},
    {Py_tp_repr, running_repr},
    {Py_tp_richcompare, running_compare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_traverse, running_traverse},
    {Py_tp_clear, running_clear_all},
    {0, NULL},
};

static PyType_Spec running_spec = {
    .name = "memo._native._speed.Running",
    .basicsize = sizeof(Running),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = running_slots,
};

static int
add_running(PyObject *module, State *state)
{
    PyObject *base = (PyObject *)&PyDict_Type;
    state->Running = add_type(module, &running_spec, base);
#define V(name) if ((state->dict_##name = PyObject_GetAttrString(base, #name)) == NULL) { return -1; }
    RUNNING_METHODS(V)
#undef V
    return state->Running == NULL ? -1 : 0;
}

/* Whether *flight*, newly born, gets its place, led from here by one who is in no work: 1; -1 with an exception; 0, and
 * nothing has happened.  `key` is plain (is_plain()). */
static int
task_leads(State *state, TaskLeading *self, PyObject *flight, PyObject *key, Whereabouts *here)
{
    Leading *l = (Leading *)self->leading;
    PyObject *replaced = NULL, *token = NULL;
    if (here->mark == NULL) {
        if (SLOT(flight, state->at_TaskFlight_work) == NULL
            && (SLOT(flight, state->at_TaskFlight_work) = work_born(state)) == NULL) {
            return -1;
        }
        token = PyContextVar_Set(state->work_mark, SLOT(flight, state->at_TaskFlight_work));
        if (token == NULL) {
            return -1;
        }
    }
    int leads = Py_IS_TYPE(l->table, state->Running) && come_forward((Running *)l->table) < 0 ? -1 : 1;
    /* From here to its place in the table nothing else runs. */
    leads = leads < 0 ? -1 : knows_plain_keys(state, l)
        && (l->shelf == NULL || look_again(state, l, key, here->hash, started_at(state, flight)) >= 0);
    if (leads < 0) {
        /* nothing has happened */
    }
    else if (leads && self->shares) {
        PyObject *current = PyDict_SetDefault(l->table, key, flight);
        leads = current == NULL ? -1 : current == flight;
    }
    else if (leads) {
        replaced = Py_XNewRef(_PyDict_GetItem_KnownHash(l->table, key, here->hash));
        leads = PyDict_SetItem(l->table, key, flight) < 0 ? -1 : 1;
    }
    if (leads > 0) {
        if (here->mark != NULL) {
            fill_slot(here->mark, state->at_Work_over, Py_NewRef(Py_False));
            fill_slot(flight, state->at_TaskFlight_work, Py_NewRef(here->mark));
        }
        fill_slot(flight, state->at_InFlight_present, Py_NewRef(state->zero));
        fill_slot(flight, state->at_InFlight_key, Py_NewRef(key));
        fill_slot(flight, state->at_TaskFlight_loop, Py_NewRef(here->loop));
        fill_slot(flight, state->at_TaskFlight_task, Py_NewRef(here->task));
        fill_slot(flight, state->at_InFlight_led, Py_NewRef(Py_True));
        count(l->counters, state->at_Counters_led, 1);
    }
    else if (token != NULL) {
        PyObject *kind, *error, *traceback;
        PyErr_Fetch(&kind, &error, &traceback);
        if (PyContextVar_Reset(state->work_mark, token) < 0) {
            PyErr_Clear();
        }
        PyErr_Restore(kind, error, traceback);
    }
    Py_XDECREF(token);
    Py_XDECREF(replaced); /* its leader has it still, and sees at its end that another is the current one */
    return leads;
}

/* -- its end */

/* End a flight whose work raised the exception that is set, which stays set unless another takes its place. */
static void
task_failed(State *state, TaskLeading *self, PyObject *flight)
{
    fill_slot(SLOT(flight, state->at_TaskFlight_work), state->at_Work_over, Py_NewRef(Py_True));
    flight_failed(state, (Leading *)self->leading, flight);
    if (SLOT(flight, state->at_InFlight_state) == state->ABANDONED && SLOT(flight, state->at_InFlight_waiters) != Py_None) {
        /* Those who wait in the leader's own loop look at nothing until they are woken, which failed() has not done if it
         * was cut short. */
        PyObject *error = taken_error();
        PyObject *done = PyObject_CallOneArg(self->rescue, flight);
        if (done == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(done);
        raise_again(error);
    }
}

/* End the work of a flight, which returned *value*, and then the flight: what its leader gets, a new reference.  `hash` is
 * that of its key, if that is known to be plain, else -1. */
static PyObject *
task_landed(State *state, TaskLeading *self, PyObject *flight, Py_hash_t hash, PyObject *value)
{
    Leading *l = (Leading *)self->leading;
    PyObject *work = SLOT(flight, state->at_TaskFlight_work), *key = SLOT(flight, state->at_InFlight_key);
    fill_slot(work, state->at_Work_over, Py_NewRef(Py_True)); /* which marks its context no more, though it is there */
    if (SLOT(flight, state->at_TaskFlight_inside) != Py_None) {
        PyObject *done = PyObject_CallOneArg(self->come_out, flight);
        if (done == NULL) {
            return NULL;
        }
        Py_DECREF(done);
    }
    if (hash == -1 && is_plain(state, key)) {
        hash = PyObject_Hash(key);
    }
    if (self->is_plain && l->shelf != NULL && hash != -1) {
        Py_INCREF(key);
        PyObject *result = flight_kept(state, l, flight, key, hash, value);
        Py_DECREF(key);
        return result;
    }
    return PyObject_CallFunctionObjArgs(l->finish, flight, value, NULL);
}

/* -- what the wrapper asks for */

static PyObject *
task_leading_born(TaskLeading *self, PyObject *unused)
{
    State *state = state_of(Py_TYPE(self));
    PyObject *flight = state == NULL ? NULL : task_flight_born(state, self);
    if (flight == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_CallNoArgs(self->born);
    }
    if (SLOT(flight, state->at_TaskFlight_work) == NULL
        && (SLOT(flight, state->at_TaskFlight_work) = work_born(state)) == NULL) {
        Py_CLEAR(flight);
    }
    return flight;
}

/* As CallerFlights.enter(). */
static PyObject *
task_leading_enter(TaskLeading *self, PyObject *const *args, Py_ssize_t number)
{
    State *state = state_of(Py_TYPE(self));
    if (state == NULL || number != 2) {
        PyErr_SetString(PyExc_TypeError, "enter() takes a flight and a key");
        return NULL;
    }
    Whereabouts here;
    int leads = Py_IS_TYPE(args[0], (PyTypeObject *)state->TaskFlight) ? whereabouts(state, self, args[1], &here) : 0;
    if (leads > 0) {
        leads = task_leads(state, self, args[0], args[1], &here);
        forget_whereabouts(&here);
    }
    return leads < 0 ? NULL : leads ? Py_NewRef(Py_True) : PyObject_Vectorcall(self->enter, args, number, NULL);
}

PyDoc_STRVAR(land_doc, "End the work of a flight, which returned a value, and then the flight; what its leader gets.");

static PyObject *
task_leading_land(TaskLeading *self, PyObject *const *args, Py_ssize_t number)
{
    State *state = state_of(Py_TYPE(self));
    if (state == NULL || number != 2 || !Py_IS_TYPE(args[0], (PyTypeObject *)state->TaskFlight)) {
        PyErr_SetString(PyExc_TypeError, "land() takes a flight and a value");
        return NULL;
    }
    return task_landed(state, self, args[0], -1, args[1]);
}

PyDoc_STRVAR(forked_doc, "Note that this process is a forked child, where no loop runs that ran before.");

static PyObject *
forked(PyObject *module, PyObject *unused)
{
    note_process((State *)PyModule_GetState(module));
    Py_RETURN_NONE;
}

/* The first object that another refers to, borrowed; NULL: none. */
static int
note_first(PyObject *object, void *first)
{
    *(PyObject **)first = object;
    return 1;
}

static PyObject *
first_within(PyObject *object)
{
    PyObject *first = NULL;
    if (object != NULL && Py_TYPE(object)->tp_traverse != NULL) {
        Py_TYPE(object)->tp_traverse(object, note_first, &first);
    }
    return first;
}

/* How many bytes an object has. */
static Py_ssize_t
bytes_of(PyObject *object)
{
    PyTypeObject *kind = Py_TYPE(object);
    return kind->tp_basicsize + (kind->tp_itemsize ? kind->tp_itemsize * Py_SIZE(object) : 0);
}

/* Where an object refers to another, from *first* on; 0: nowhere. */
static Py_ssize_t
found_at(PyObject *object, PyObject *other, Py_ssize_t first)
{
    for (Py_ssize_t at = first; at + (Py_ssize_t)sizeof(PyObject *) <= bytes_of(object); at += sizeof(PyObject *)) {
        if (SLOT(object, at) == other) {
            return at;
        }
    }
    return 0;
}

/* Learn what a context consists of, which has no public name.  Unless a mark is then found where it is, and not where it is
 * shared, none is ever found. */
static int
look_into_contexts(State *state)
{
    PyObject *context = PyContext_New(), *variable = PyContextVar_New("memo_looks", NULL), *mark = PyList_New(0);
    int fits = context != NULL && variable != NULL && mark != NULL && PyContext_Enter(context) == 0;
    if (fits) {
        PyObject *token = PyContextVar_Set(variable, mark);
        fits = PyContext_Exit(context) == 0 && token != NULL;
        Py_XDECREF(token);
    }
    if (fits) {
        PyObject *variables = first_within(context), *node = first_within(variables);
        state->Hamt = variables == NULL ? NULL : Py_NewRef((PyObject *)Py_TYPE(variables));
        state->HamtNode = node == NULL ? NULL : Py_NewRef((PyObject *)Py_TYPE(node));
        int alone = is_marked_alone(state, context, mark);
        PyObject *copy = PyContext_Copy(context);
        int shared = is_marked_alone(state, context, mark);
        Py_XDECREF(copy);
        if (!alone || shared || copy == NULL || !is_marked_alone(state, context, mark)) {
            Py_CLEAR(state->Hamt);
            Py_CLEAR(state->HamtNode);
        }
        else {
            state->at_root = found_at(variables, node, sizeof(PyObject));
            state->at_pairs = Py_TYPE(node)->tp_itemsize != sizeof(PyObject *) || Py_SIZE(node) != 2
                ? 0 : found_at(node, variable, sizeof(PyVarObject));
            if (state->at_root && state->at_pairs && SLOT(node, state->at_pairs + sizeof(PyObject *)) == mark
                && state->at_pairs + 2 * (Py_ssize_t)sizeof(PyObject *) <= bytes_of(node)) {
                state->at_vars = found_at(context, variables, sizeof(PyObject));
            }
        }
    }
    Py_XDECREF(mark);
    Py_XDECREF(variable);
    Py_XDECREF(context);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *
task_leading_new(PyTypeObject *kind, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"leading", "born", "enter", "come_out", "rescue", "is_plain", "shares", NULL};
    State *state = state_of(kind);
    PyObject *leading, *born, *enter, *come_out, *rescue;
    int plain, shares;
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "$O!OOOOpp:TaskLeading", names, state->Leading, &leading,
            &born, &enter, &come_out, &rescue, &plain, &shares)) {
        return NULL;
    }
    if (state->TaskFlight == NULL || state->Work == NULL || state->work_mark == NULL) {
        PyErr_SetString(PyExc_TypeError, "TaskLeading: know() was not told of its classes");
        return NULL;
    }
    TaskLeading *self = (TaskLeading *)kind->tp_alloc(kind, 0);
    if (self != NULL) {
#define V(name) self->name = Py_NewRef(name);
        TASK_LEADING_OBJECTS(V)
#undef V
        self->is_plain = plain;
        self->shares = shares;
    }
    return (PyObject *)self;
}

static int
task_leading_traverse(TaskLeading *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
#define V(name) Py_VISIT(self->name);
    TASK_LEADING_OBJECTS(V)
#undef V
    for (int i = 0; i < self->spare_count; i++) {
        Py_VISIT(self->spare[i]);
    }
    return 0;
}

static void
task_leading_dealloc(TaskLeading *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    while (self->spare_count > 0) {
        Py_DECREF(self->spare[--self->spare_count]);
    }
#define V(name) Py_CLEAR(self->name);
    TASK_LEADING_OBJECTS(V)
#undef V
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef task_leading_methods[] = {
    {"born", (PyCFunction)task_leading_born, METH_NOARGS, "A new flight, as task_flight() makes it."},
    {"enter", (PyCFunction)(void (*)(void))task_leading_enter, METH_FASTCALL, "As CallerFlights.enter()."},
    {"land", (PyCFunction)(void (*)(void))task_leading_land, METH_FASTCALL, land_doc},
    {NULL},
};

/* It cannot be cleared: whatever it refers to can, and a wrapper that still runs may ask it. */
static PyType_Slot task_leading_slots[] = {
    {Py_tp_doc, "What leads the misses of one coroutine function in their callers' tasks."},
    {Py_tp_new, task_leading_new},
    {Py_tp_dealloc, task_leading_dealloc},
    {Py_tp_traverse, task_leading_traverse},
    {Py_tp_methods, task_leading_methods},
    {0, NULL},
};

static PyType_Spec task_leading_spec = {
    "memo._native._speed.TaskLeading", sizeof(TaskLeading), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, task_leading_slots,
};

/* ---- steps of one that leads */

/* The table of running calls of which a coroutine has the lone load; NULL: it has none. */
static inline Running *
alone_in(State *state, Coroutine *self, TaskLeading *leading)
{
    Running *running = (Running *)((Leading *)leading->leading)->table;
    return self->flight == NULL && Py_IS_TYPE(running, state->Running) && running->lone == self ? running : NULL;
}

/* End a load that raised the exception that is set, which stays set unless another takes its place. */
static void
led_failed(Coroutine *self, State *state, TaskLeading *leading)
{
    Running *running = alone_in(state, self, leading);
    if (running != NULL) {
        PyObject *error = taken_error();
        if (come_forward(running) < 0) { /* nobody has looked for it, and nobody will */
            PyErr_Clear();
            fill_slot(running->work, state->at_Work_over, Py_NewRef(Py_True));
            count(((Leading *)leading->leading)->counters, state->at_Counters_cancelled, 1);
            lone_forget(running);
        }
        raise_again(error);
    }
    if (self->flight != NULL) {
        task_failed(state, leading, self->flight);
    }
}

/* Have a coroutine lead a call that found nothing, if that is a case for C: 1, and `real` is the function's own coroutine;
 * 0: nothing has happened; -1 with an exception: it has ended.  There was nothing of the key in that version of *index*. */
static int
begin_leading(Coroutine *self, PyObject *key, PyObject *const *values, PyObject *named, PyObject *index, uint64_t seen)
{
    Call *call = self->call;
    State *state = call->state;
    PyObject *leading = call->copies[WORD_LEADING], *function = call->copies[WORD_FUNCTION];
    if (call->condition != READY || leading == NULL || !Py_IS_TYPE(leading, state->TaskLeading) || call->recipe->instance >= 0
        || !PyFunction_Check(function) || !(((PyCodeObject *)PyFunction_GET_CODE(function))->co_flags & CO_COROUTINE)) {
        return 0; /* what such a function returns is new, and a coroutine of the interpreter's */
    }
    size_t positional = call->recipe->positional;
    Py_INCREF(leading);
    Py_INCREF(function);
    Whereabouts here;
    int leads = whereabouts(state, (TaskLeading *)leading, key, &here), is_alone = 0;
    PyObject *flight = NULL;
    self->flight = NULL;
    if (leads > 0) {
        is_alone = begin_alone(state, (TaskLeading *)leading, self, key, &here, index, seen);
    }
    if (leads > 0 && !is_alone) {
        flight = task_flight_born(state, (TaskLeading *)leading);
        leads = flight != NULL ? task_leads(state, (TaskLeading *)leading, flight, key, &here) : PyErr_Occurred() ? -1 : 0;
        forget_whereabouts(&here);
    }
    self->flight = flight;
    PyObject *real = leads > 0 ? ((PyFunctionObject *)function)->vectorcall(function, values, positional, named) : NULL;
    if (leads > 0 && real == NULL) {
        led_failed(self, state, (TaskLeading *)leading);
        leads = -1;
    }
    Py_DECREF(function);
    if (real == NULL) {
        Py_CLEAR(self->flight);
        Py_DECREF(leading);
        return leads;
    }
    drop_arguments(self);
    self->led.leading = leading;
    self->led.hash = here.hash;
    self->leads = 1;
    self->real = real;
    return 1;
}

/* Look a call up, or begin to lead it.  Returns 1: a hit, counted, whose value is a new reference; 2: it leads, and `real` is
 * the function's own coroutine; 3: `real` is what Python leads it by, since key= has made its key and must not be asked for
 * it once more; 0: a doubt; -1: an exception. */
static int
look_or_begin(Coroutine *self, PyObject **value)
{
    Call *call = self->call;
    PyObject *names = self->names, *const *args = self->args;
    size_t given = self->count - (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    int absent = 0, leads = 0;
    *value = NULL;
    if (!is_ready(call)) {
        return 0;
    }
    if (names == NULL) {
        *value = quick_hit(call, args, given, &absent);
        if (*value != NULL || (!absent && PyErr_Occurred())) {
            return *value != NULL ? 1 : -1;
        }
        if (call->condition != READY) {
            return 0; /* the comparison has changed something */
        }
        if (absent) { /* a plain key, alone */
            PyObject *index = call->copies[WORD_INDEX];
            uint64_t seen = index != NULL && is_index(call->state, index) ? index_version(call->state, index) : 0;
            leads = begin_leading(self, args[call->recipe->quick], args, NULL, index, seen);
            return leads > 0 ? 2 : leads;
        }
    }
    Bound bound;
    PyObject *lead_made = Py_XNewRef(call->copies[WORD_LEAD_MADE]);
    if (bind_call(call, &bound, args, given, names) && bind_key(call, &bound) > 0) {
        Moment moment = {NAN, NAN};
        *value = hit(call, &bound, &moment);
        if (*value == NULL && !PyErr_Occurred() && call->recipe == bound.recipe && !bound.more_count) {
            leads = begin_leading(self, bound.key, bound.values, bound.recipe->named_alone, NULL, 0) > 0 ? 2 : 0;
        }
        if (*value == NULL && !leads && lead_made != NULL && !PyErr_Occurred()) {
            self->real = made_led(&bound, lead_made);
            leads = self->real != NULL ? 3 : 0;
        }
    }
    bound_end(&bound);
    Py_XDECREF(lead_made);
    return *value != NULL ? 1 : leads ? leads : PyErr_Occurred() ? -1 : 0;
}

/* Let go of what a coroutine that has ended has led; an exception that is set stays. */
static void
stop_leading(Coroutine *self, PySendResult ended)
{
    PyObject *type = NULL, *error, *traceback, *real = self->real, *leading = self->led.leading, *flight = self->flight;
    self->stage = ENDED;
    self->leads = 0;
    self->real = self->flight = NULL;
    if (ended == PYGEN_ERROR) {
        PyErr_Fetch(&type, &error, &traceback);
    }
    Py_DECREF(real);
    if (flight != NULL) {
        State *state = state_left(Py_TYPE(self), self->call);
        if (state != NULL) {
            task_flight_done(state, (TaskLeading *)leading, flight);
        }
        else {
            Py_DECREF(flight);
        }
    }
    Py_DECREF(leading);
    if (type != NULL) {
        PyErr_Restore(type, error, traceback);
    }
}

/* End a load that returned *value*: what its caller gets, a new reference; NULL with an exception. */
static inline PyObject *
ended_well(Coroutine *self, State *state, TaskLeading *leading, PyObject *value)
{
    if (self->flight == NULL) {
        Leading *l = (Leading *)leading->leading;
        PyObject *result = lone_landed(state, l, (Running *)l->table, self->led.hash, value);
        if (result != NULL) {
            return result;
        }
        if (come_forward((Running *)l->table) < 0) {
            return NULL;
        }
    }
    return task_landed(state, leading, self->flight, self->led.hash, value);
}

/* What follows from a step of `real`, which ended so: the same of the coroutine that leads. */
static PySendResult
after_step(Coroutine *self, PySendResult ended, PyObject **result)
{
    State *state = state_left(Py_TYPE(self), self->call);
    TaskLeading *leading = (TaskLeading *)self->led.leading;
    Leading *l = (Leading *)leading->leading;
    if (ended == PYGEN_NEXT) {
        if (state == NULL || self->flight != NULL || come_forward((Running *)l->table) == 0) {
            self->stage = LED;
            track(state, self);
            return ended;
        }
        Py_CLEAR(*result);
        ended = PYGEN_ERROR;
    }
    PyObject *value = ended == PYGEN_RETURN ? *result : NULL;
    *result = NULL;
    if (state != NULL) {
        if (value != NULL) {
            *result = ended_well(self, state, leading, value);
            Py_DECREF(value);
        }
        if (*result == NULL) {
            led_failed(self, state, leading);
            ended = PYGEN_ERROR;
        }
    }
    else {
        if (self->flight == NULL) {
            lone_forget((Running *)l->table);
        }
        *result = value; /* the module is gone, and with it all that was stored */
    }
    stop_leading(self, ended);
    return ended;
}

static PySendResult
led_step(Coroutine *self, PyObject *sent, PyObject **result)
{
    self->stage = BUSY;
    return after_step(self, Py_TYPE(self->real)->tp_as_async->am_send(self->real, sent, result), result);
}

/* Have `real` end by GeneratorExit.  Returns 0 if it did; -1 with what it raised instead. */
static int
close_real(Coroutine *self)
{
    self->stage = BUSY;
    PyObject *done = PyObject_CallMethod(self->real, "close", NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *
led_close(Coroutine *self)
{
    PyObject *unused = NULL;
    if (close_real(self) == 0) {
        PyErr_SetNone(PyExc_GeneratorExit);
    }
    after_step(self, PYGEN_ERROR, &unused);
    if (PyErr_ExceptionMatches(PyExc_GeneratorExit) || PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return NULL;
}

/* Whether throw() is asked, in a way that it accepts, for what closes a coroutine. */
static int
throws_exit(PyObject *const *args, Py_ssize_t count)
{
    return count >= 1 && count <= 3 && PyErr_GivenExceptionMatches(args[0], PyExc_GeneratorExit)
        && (count < 2 || PyExceptionClass_Check(args[0]) || args[1] == Py_None)
        && (count < 3 || args[2] == Py_None || PyTraceBack_Check(args[2]));
}

/* Throw an exception into `real`, as an `await` of it hands it on. */
static PySendResult
led_throw(Coroutine *self, PyObject *const *args, Py_ssize_t count, PyObject **result)
{
    *result = NULL;
    if (throws_exit(args, count)) {
        if (close_real(self) == 0) {
            PyObject *error = args[0], *value = count < 2 ? Py_None : args[1], *traceback = count < 3 ? Py_None : args[2];
            PyObject *kind = PyExceptionClass_Check(error) ? error : (PyObject *)Py_TYPE(error);
            value = kind == error ? (value == Py_None ? NULL : value) : error;
            PyErr_Restore(Py_NewRef(kind), Py_XNewRef(value), traceback == Py_None
                ? (kind == error ? NULL : PyException_GetTraceback(error)) : Py_NewRef(traceback));
        }
        return after_step(self, PYGEN_ERROR, result);
    }
    self->stage = BUSY;
    PyObject *throw = PyObject_GetAttrString(self->real, "throw");
    *result = throw == NULL ? NULL : PyObject_Vectorcall(throw, args, count, NULL);
    Py_XDECREF(throw);
    if (count < 1 || count > 3) { /* it was not asked for anything */
        self->stage = LED;
        return PYGEN_ERROR;
    }
    if (*result != NULL) {
        return after_step(self, PYGEN_NEXT, result);
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return after_step(self, PYGEN_ERROR, result);
    }
    PyObject *stop = taken_error();
    PyObject *value = ((PyStopIterationObject *)stop)->value;
    *result = Py_NewRef(value == NULL ? Py_None : value);
    Py_DECREF(stop);
    return after_step(self, PYGEN_RETURN, result);
}

/* ---- steps */

static PySendResult
first_step(Coroutine *self, PyObject **result)
{
    self->stage = BUSY;
    int looked = look_or_begin(self, result);
    if (looked == 0 && make_real(self) == 0) {
        return PyIter_Send(self->real, Py_None, result);
    }
    if (looked == 2) {
        return led_step(self, Py_None, result);
    }
    if (looked == 3) {
        go_by_real(self);
        return PyIter_Send(self->real, Py_None, result);
    }
    self->stage = ENDED;
    if (looked > 0) {
        drop_arguments(self);
        return PYGEN_RETURN;
    }
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    drop_arguments(self);
    PyErr_Restore(type, error, traceback);
    return PYGEN_ERROR;
}

static PySendResult
coroutine_step(Coroutine *self, PyObject *sent, PyObject **result)
{
    *result = NULL;
    switch (self->stage) {
    case CREATED:
        if (sent != NULL && sent != Py_None) {
            PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
            return PYGEN_ERROR;
        }
        return first_step(self, result);
    case LED:
        return led_step(self, sent == NULL ? Py_None : sent, result);
    case MADE:
        return PyIter_Send(self->real, sent == NULL ? Py_None : sent, result);
    case BUSY:
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return PYGEN_ERROR;
    case ENDED:
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    }
    return PYGEN_ERROR;
}

/* Raise the StopIteration that a coroutine returns a value by, and give the value up. */
static void
raise_return(PyObject *value)
{
    if (!PyTuple_Check(value) && !PyExceptionInstance_Check(value)) {
        PyErr_SetObject(PyExc_StopIteration, value);
    }
    else { /* which would be taken for the arguments, or for the exception itself */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
    }
    Py_DECREF(value);
}

static PyObject *
coroutine_send(Coroutine *self, PyObject *sent)
{
    PyObject *result;
    if (coroutine_step(self, sent, &result) == PYGEN_RETURN) {
        raise_return(result);
        return NULL;
    }
    return result;
}

/* Whether an exception is as it was made, and nobody else holds it. */
#if PY_VERSION_HEX >= 0x030C0000
static inline int
is_as_new(PyStopIterationObject *stop)
{
    return Py_REFCNT(stop) == 1 && stop->traceback == NULL && stop->context == NULL && stop->cause == NULL
        && stop->dict == NULL && stop->notes == NULL;
}

/* Raise the StopIteration that an `await` takes a value from, and give the value up. */
static void
return_to_await(Coroutine *self, PyObject *value)
{
    State *state = state_left(Py_TYPE(self), self->call);
    if (state == NULL || Py_REFCNT(self) != 1) {
        raise_return(value);
        return;
    }
    if (state->spare == NULL || !is_as_new((PyStopIterationObject *)state->spare)) {
        PyObject *fresh = PyObject_CallNoArgs(PyExc_StopIteration);
        if (fresh == NULL) {
            Py_DECREF(value);
            return;
        }
        Py_XSETREF(state->spare, fresh);
    }
    PyStopIterationObject *spare = (PyStopIterationObject *)state->spare;
    self->has_returned = 1;
    PyObject *last = spare->value;
    spare->value = value;
    PyErr_SetRaisedException(Py_NewRef(spare));
    Py_XDECREF(last);
}

/* Have the spare exception forget what it returned for a coroutine that dies. */
static inline void
forget_returned(State *state)
{
    if (state->spare != NULL && Py_REFCNT(state->spare) == 1) {
        Py_CLEAR(((PyStopIterationObject *)state->spare)->value);
    }
    else {
        Py_CLEAR(state->spare); /* somebody has it, and may keep it */
    }
}
#else
static inline void
return_to_await(Coroutine *self, PyObject *value)
{
    (void)self; /* an `await` of this version asks am_send, which raises nothing */
    raise_return(value);
}

static inline void
forget_returned(State *state)
{
    (void)state;
}
#endif

static PyObject *
coroutine_next(Coroutine *self)
{
    PyObject *result;
    if (coroutine_step(self, NULL, &result) == PYGEN_RETURN) {
        return_to_await(self, result);
        return NULL;
    }
    return result;
}

/* ---- what `real` answers once there is one */

/* An attribute of `real`; a new reference. */
static inline PyObject *
of_real(Coroutine *self, const char *name)
{
    return PyObject_GetAttrString(self->real, name);
}

static PyObject *
coroutine_close(Coroutine *self, PyObject *unused)
{
    switch (self->stage) {
    case CREATED:
        self->stage = ENDED;
        drop_arguments(self);
        Py_RETURN_NONE;
    case LED:
        return led_close(self);
    case MADE:
        return PyObject_CallMethod(self->real, "close", NULL);
    case BUSY:
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return NULL;
    case ENDED:
        break;
    }
    Py_RETURN_NONE;
}

static PyObject *
coroutine_throw(Coroutine *self, PyObject *const *args, Py_ssize_t count)
{
    if (self->stage == CREATED && make_real(self) < 0) {
        return NULL;
    }
    if (self->stage == BUSY) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return NULL;
    }
    if (self->stage == ENDED) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    PyObject *result;
    if (self->stage == LED) {
        if (led_throw(self, args, count, &result) == PYGEN_RETURN) {
            raise_return(result);
            return NULL;
        }
        return result;
    }
    PyObject *throw = of_real(self, "throw");
    result = throw == NULL ? NULL : PyObject_Vectorcall(throw, args, count, NULL);
    Py_XDECREF(throw);
    return result;
}

/* What `await` asks first.  One coroutine is awaited by one: the interpreter itself sees to that for its own. */
static PyObject *
coroutine_await(Coroutine *self)
{
    int is_awaited = self->stage == LED;
    if (self->stage == MADE) {
        PyObject *waits_for = of_real(self, "cr_await");
        if (waits_for == NULL) {
            return NULL;
        }
        Py_DECREF(waits_for);
        is_awaited = waits_for != Py_None;
    }
    if (is_awaited) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(self);
}

/* What `yield from` asks of all but the interpreter's own coroutines, and who iterates by mistake does, too. */
static PyObject *
coroutine_iter(Coroutine *self)
{
    PyFrameObject *frame = PyEval_GetFrame();
    PyCodeObject *code = frame == NULL ? NULL : PyFrame_GetCode(frame);
    int is_coroutine = code != NULL && code->co_flags & CO_ITERABLE_COROUTINE; /* a generator that types.coroutine() made one */
    Py_XDECREF(code);
    if (!is_coroutine) {
        PyErr_SetString(PyExc_TypeError, "'coroutine' object is not iterable");
        return NULL;
    }
    return Py_NewRef(self);
}

static PyObject *
coroutine_awaiter(Coroutine *self, PyObject *unused)
{
    State *state = state_of(Py_TYPE(self));
    Awaiter *awaiter = state == NULL ? NULL : PyObject_GC_New(Awaiter, state->Awaiter);
    if (awaiter != NULL) {
        awaiter->coroutine = (Coroutine *)Py_NewRef(self);
        PyObject_GC_Track(awaiter);
    }
    return (PyObject *)awaiter;
}

static PyObject *
coroutine_get_frame(Coroutine *self, void *unused)
{
    if (self->stage == CREATED && make_real(self) < 0) { /* only the real one has a frame */
        return NULL;
    }
    return self->real != NULL ? of_real(self, "cr_frame") : Py_NewRef(Py_None); /* of one that leads: the function's */
}

static PyObject *
coroutine_get_await(Coroutine *self, void *unused)
{
    return self->stage == LED ? Py_NewRef(self->real) : self->stage == MADE ? of_real(self, "cr_await") : Py_NewRef(Py_None);
}

/* An attribute that says nothing before there is a real coroutine. */
static PyObject *
coroutine_get_none(Coroutine *self, void *name)
{
    return self->stage == MADE ? of_real(self, name) : Py_NewRef(Py_None);
}

static PyObject *
coroutine_get_running(Coroutine *self, void *unused)
{
    return self->stage == MADE ? of_real(self, "cr_running") : PyBool_FromLong(self->stage == BUSY);
}

static PyObject *
coroutine_get_suspended(Coroutine *self, void *unused)
{
    return self->stage == MADE ? of_real(self, "cr_suspended") : PyBool_FromLong(self->stage == LED);
}

static PyObject *
coroutine_get_code(Coroutine *self, void *unused)
{
    return self->stage == MADE ? of_real(self, "cr_code") : PyObject_GetAttrString(self->call->wrapper, "__code__");
}

static PyObject *
coroutine_get_name(Coroutine *self, void *name)
{
    return PyObject_GetAttrString(self->real != NULL ? self->real : self->call->wrapper, name);
}

static int
coroutine_set_name(Coroutine *self, PyObject *value, void *name)
{
    if (self->stage == CREATED && make_real(self) < 0) {
        return -1;
    }
    if (self->real == NULL) {
        PyErr_Format(PyExc_AttributeError, "%s of a coroutine that has ended cannot be set", (const char *)name);
        return -1;
    }
    return PyObject_SetAttrString(self->real, name, value);
}

static PyObject *
coroutine_get_class(Coroutine *self, void *unused)
{
    return Py_NewRef(&PyCoro_Type); /* what isinstance() goes by, and with it whatever asks whether this is a coroutine */
}

static PyObject *
coroutine_repr(Coroutine *self)
{
    PyObject *name = coroutine_get_name(self, "__qualname__");
    PyObject *text = name == NULL ? NULL : PyUnicode_FromFormat("<coroutine object %S at %p>", name, self);
    Py_XDECREF(name);
    return text;
}

/* ---- its end */

static void
coroutine_finalize(Coroutine *self)
{
    State *state = state_left(Py_TYPE(self), self->call);
    self->was_finalized = 1;
    if ((self->stage != CREATED && self->stage != LED) || state == NULL) {
        return;
    }
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *done = self->stage == LED ? led_close(self) : PyObject_CallOneArg(state->warn, (PyObject *)self);
    if (done == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(done);
    PyErr_Restore(type, error, traceback);
}

static int
coroutine_traverse(Coroutine *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->call);
    Py_VISIT(self->real);
    Py_VISIT(self->names);
    if (self->leads) {
        Py_VISIT(self->led.leading);
        Py_VISIT(self->flight);
    }
    for (int i = 0; i < self->count; i++) {
        Py_VISIT(self->args[i]);
    }
    return 0;
}

/* The call and `real` stay: they name it, and can be cleared themselves.  One that leads has ended when it was finalized. */
static int
coroutine_clear(Coroutine *self)
{
    if (self->stage != MADE && self->stage != LED) {
        self->stage = ENDED;
    }
    drop_arguments(self);
    return 0;
}

static void
coroutine_dealloc(Coroutine *self)
{
    PyTypeObject *type = Py_TYPE(self);
    State *state = state_left(type, self->call);
    if (self->stage == CREATED || self->stage == LED) {
        if (self->weakrefs != NULL) {
            PyObject_GC_UnTrack(self);
            PyObject_ClearWeakRefs((PyObject *)self);
        }
        track(state, self);
        if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
            return; /* somebody has taken it up again */
        }
    }
    if (state != NULL && state->young == self) {
        state->young = NULL;
    }
    else {
        PyObject_GC_UnTrack(self);
    }
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    if (self->has_returned && state != NULL) {
        forget_returned(state);
    }
    drop_arguments(self);
    Py_CLEAR(self->real);
    if (self->leads) {
        Py_XDECREF(self->flight);
        Py_DECREF(self->led.leading);
    }
    Call *call = self->call;
    state = state_left(type, call); /* anew: what died here may have been the last to hold it */
    if (!self->was_finalized && state != NULL && state->waiting_count < MOST_WAITING) {
        self->next = state->waiting;
        state->waiting = self;
        state->waiting_count++;
    }
    else {
        PyObject_GC_Del(self);
    }
    Py_DECREF(call);
    Py_DECREF(type);
}

/* Free the memory of dead objects; called before the types go.  From now on none is kept. */
static void
free_waiting(State *state)
{
    state->is_over = 1;
    state->young = NULL;
    while (state->waiting != NULL) {
        Coroutine *dead = state->waiting;
        state->waiting = dead->next;
        PyObject_GC_Del(dead);
    }
    while (state->dead_entries != NULL) {
        Node *dead = state->dead_entries;
        state->dead_entries = dead->older;
        PyObject_Free(dead);
    }
}

static PyMethodDef coroutine_methods[] = {
    {"send", (PyCFunction)coroutine_send, METH_O, "Go on with a value; return what is yielded, or raise StopIteration."},
    {"throw", (PyCFunction)(void (*)(void))coroutine_throw, METH_FASTCALL, "Go on by raising an exception."},
    {"close", (PyCFunction)coroutine_close, METH_NOARGS, "Raise GeneratorExit where it waits."},
    {"__await__", (PyCFunction)coroutine_awaiter, METH_NOARGS | METH_COEXIST, "An iterator of what it yields."},
    {NULL},
};

static PyGetSetDef coroutine_getset[] = {
    {"__class__", (getter)coroutine_get_class, NULL, NULL, NULL},
    {"__name__", (getter)coroutine_get_name, (setter)coroutine_set_name, NULL, "__name__"},
    {"__qualname__", (getter)coroutine_get_name, (setter)coroutine_set_name, NULL, "__qualname__"},
    {"cr_await", (getter)coroutine_get_await, NULL, NULL, NULL},
    {"cr_code", (getter)coroutine_get_code, NULL, NULL, NULL},
    {"cr_frame", (getter)coroutine_get_frame, NULL, NULL, NULL},
    {"cr_origin", (getter)coroutine_get_none, NULL, NULL, "cr_origin"},
    {"cr_running", (getter)coroutine_get_running, NULL, NULL, NULL},
    {"cr_suspended", (getter)coroutine_get_suspended, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef coroutine_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Coroutine, weakrefs), READONLY, NULL},
    {NULL},
};

static PyType_Slot coroutine_slots[] = {
    {Py_tp_doc, "What a call of a decorated coroutine function returns."},
    {Py_tp_dealloc, coroutine_dealloc},
    {Py_tp_finalize, coroutine_finalize},
    {Py_tp_traverse, coroutine_traverse},
    {Py_tp_clear, coroutine_clear},
    {Py_tp_repr, coroutine_repr},
    {Py_tp_iter, coroutine_iter},
    {Py_tp_iternext, coroutine_next},
    {Py_am_await, coroutine_await},
    {Py_am_send, coroutine_step},
    {Py_tp_methods, coroutine_methods},
    {Py_tp_getset, coroutine_getset},
    {Py_tp_members, coroutine_members},
    {0, NULL},
};

static PyType_Spec coroutine_spec = {
    "memo._native._speed.Coroutine", sizeof(Coroutine), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, coroutine_slots,
};

/* ---- what `__await__()` returns */

static PyObject *
awaiter_next(Awaiter *self)
{
    return coroutine_send(self->coroutine, Py_None);
}

static PyObject *
awaiter_send(Awaiter *self, PyObject *sent)
{
    return coroutine_send(self->coroutine, sent);
}

static PyObject *
awaiter_throw(Awaiter *self, PyObject *const *args, Py_ssize_t count)
{
    return coroutine_throw(self->coroutine, args, count);
}

static PyObject *
awaiter_close(Awaiter *self, PyObject *unused)
{
    return coroutine_close(self->coroutine, NULL);
}

static int
awaiter_traverse(Awaiter *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->coroutine);
    return 0;
}

static void
awaiter_dealloc(Awaiter *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->coroutine);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef awaiter_methods[] = {
    {"send", (PyCFunction)awaiter_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))awaiter_throw, METH_FASTCALL, NULL},
    {"close", (PyCFunction)awaiter_close, METH_NOARGS, NULL},
    {NULL},
};

/* It cannot be cleared: it refers to its coroutine alone, which can. */
static PyType_Slot awaiter_slots[] = {
    {Py_tp_doc, "The iterator that an await goes along."},
    {Py_tp_dealloc, awaiter_dealloc},
    {Py_tp_traverse, awaiter_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, awaiter_next},
    {Py_tp_methods, awaiter_methods},
    {0, NULL},
};

static PyType_Spec awaiter_spec = {
    "memo._native._speed.Awaiter", sizeof(Awaiter), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, awaiter_slots,
};

static int
add_coroutine(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->TaskLeading = add_type(module, &task_leading_spec, NULL);
    state->Coroutine = add_type(module, &coroutine_spec, NULL);
    state->Awaiter = add_type(module, &awaiter_spec, NULL);
    if (state->TaskLeading == NULL || state->Coroutine == NULL || state->Awaiter == NULL || add_running(module, state) < 0) {
        return -1;
    }
    /* To Python coroutines are no iterators, although the interpreter finds these functions in their places. */
    PyObject *names = state->Coroutine->tp_dict;
    if (PyDict_DelItemString(names, "__iter__") < 0 || PyDict_DelItemString(names, "__next__") < 0) {
        return -1;
    }
    PyType_Modified(state->Coroutine);
    PyObject *warnings = PyImport_ImportModule("warnings");
    if (warnings == NULL) {
        return -1;
    }
    state->warn = PyObject_GetAttrString(warnings, "_warn_unawaited_coroutine");
    Py_DECREF(warnings);
    note_process(state);
    state->loop_name = PyUnicode_InternFromString("__asyncio_running_event_loop__");
    return state->warn == NULL || state->loop_name == NULL ? -1 : look_into_contexts(state);
}

/* ======================================================================================================== 8 Window
 *
 * The record of a sliding window.  The words are those of `memo/_window`: kept events, totals, buckets, slices, cells.
 *
 * A Tape holds what a window holds: the kept events, oldest first, in blocks of a ring; and the totals of all events, a
 * ring of buckets with a histogram for every five of them.  It is Python's EventCache and Totals in one, in a quarter of
 * the memory, and every change of it is one step, so that no exception finds it half done.
 *
 * Invariants
 *
 * - An event is entered whole, into kept events and totals, or not at all: what it needs is allocated before.
 * - A tape owns detail and key of each kept event.  These are what `failure_text()` and `stored_key()` make: text, numbers
 *   and tuples of them, so that giving one up runs no code.  It is given up when the tape is whole again all the same.
 * - An event goes straight from a call to the tape while nobody looks at the window (`_busy` is 0: whoever reads holds the
 *   lock and has set it), nothing is queued (`_pending`), nothing planned, and time goes forward.  Else it goes through
 *   Python's queue.  IntakeFields and TimeFields are the fields of Python's Intake and OwnTime which that takes a look at.
 */

enum {
    BUCKETS = 120,                     /* in a span */
    PER_SLICE = 5,                     /* buckets that share a histogram */
    SLICES = BUCKETS / PER_SLICE + 2,  /* one that the edge cuts, one for rounding */
    RING = SLICES * PER_SLICE,         /* buckets that there is room for */
    LOWEST = -24,                      /* durations from 2**-24 s ... */
    OCTAVES = 40,                      /* ... to 2**16 s */
    CELLS = OCTAVES * 16 + 2,
    CELL_BASE = (1023 + LOWEST) * 16 - 1, /* the upper 16 bits of 2.0**LOWEST, less the cell for what is shorter */
    BLOCK = 32,                        /* events in a block */
    EXPIRE = 1024,                     /* events that entering one removes at most for their age; see events.py */
};

#define NO_BUCKET INT64_MIN
#define LAST_INDEX ((int64_t)1 << 61) /* times of no meaning, with buckets finer than the float of the time, end here */

typedef struct {
    double ended, seconds;
    PyObject *detail; /* NULL for "ok"; "cancelled" or (type, message) */
    PyObject *key;
} Event;

typedef struct {
    int64_t index, count, errors, cancelled;
    double seconds;
} Bucket;

typedef struct {
    PyObject_HEAD
    double span, width;
    Py_ssize_t most; /* events that are kept */

    /* The kept events are those of the places first to first + count in the ring of blocks: place p lies in block
     * p / BLOCK mod room.  There is always a block more than needed, so that first and last place never share one. */
    Event **blocks, *spare;
    size_t room, first, count;
    long long end;     /* how many ever came, and so the number of the next */
    long long dropped; /* that left for want of room */
    double dropped_at; /* end of the latest of them; -inf: none */

    /* The totals.  Slices below floor are out of the window for good; NO_BUCKET: there was none yet. */
    int64_t head, floor;
    double known_from, known_until; /* all times from one to the other are the head's, as far as that is known */
    Bucket *head_bucket;            /* the head's place among the buckets; NULL: it is not in use */
    int64_t *head_cells;            /* and its histogram; NULL likewise */
    int64_t section_of[SLICES], *slices[SLICES];
    Bucket buckets[RING];
} Tape;

/* -- places */

static inline Event *
tape_at(Tape *tape, size_t i)
{
    size_t place = tape->first + i;
    return &tape->blocks[place / BLOCK & (tape->room - 1)][place % BLOCK];
}

/* Whether there is room for one more event. */
static inline int
tape_has_room(Tape *tape)
{
    size_t place = tape->first + tape->count;
    return (tape->count + 1) / BLOCK + 3 <= tape->room && tape->blocks[place / BLOCK & (tape->room - 1)] != NULL;
}

/* Have room for so many more events; -1 with MemoryError, and nothing has changed. */
static int
tape_reserve(Tape *tape, size_t more)
{
    size_t blocks = (tape->count + more) / BLOCK + 3;
    if (blocks > tape->room) {
        size_t room = 4;
        while (room < blocks) {
            room *= 2;
        }
        Event **fresh = PyMem_Calloc(room, sizeof(Event *));
        if (fresh == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < tape->room; i++) {
            fresh[i] = tape->blocks[(tape->first / BLOCK + i) & (tape->room - 1)];
        }
        PyMem_Free(tape->blocks);
        tape->blocks = fresh;
        tape->room = room;
        tape->first %= BLOCK;
    }
    size_t from = (tape->first + tape->count) / BLOCK, to = (tape->first + tape->count + more - 1) / BLOCK;
    for (size_t number = from; number <= to; number++) {
        Event **block = &tape->blocks[number & (tape->room - 1)];
        if (*block == NULL) {
            *block = tape->spare != NULL ? tape->spare : PyMem_Malloc(BLOCK * sizeof(Event));
            tape->spare = NULL;
            if (*block == NULL) {
                PyErr_NoMemory();
                return -1;
            }
        }
    }
    return 0;
}

/* Go on behind the oldest event, whose references become the caller's. */
static inline void
tape_step(Tape *tape)
{
    tape->first++;
    tape->count--;
    if (tape->first % BLOCK == 0) {
        Event **block = &tape->blocks[(tape->first / BLOCK - 1) & (tape->room - 1)];
        PyMem_Free(tape->spare);
        tape->spare = *block;
        *block = NULL;
        tape->first %= tape->room * BLOCK;
    }
}

/* Give the oldest event up. */
static void
tape_drop_oldest(Tape *tape)
{
    Event oldest = *tape_at(tape, 0);
    tape_step(tape);
    Py_XDECREF(oldest.detail);
    Py_DECREF(oldest.key);
}

static int
tape_expire(Tape *tape, double now, int most)
{
    int removed = 0;
    while (removed < most && tape->count > 0 && tape_at(tape, 0)->ended + tape->span <= now) {
        tape_drop_oldest(tape);
        removed++;
    }
    return removed;
}

static inline void
tape_note_drop(Tape *tape, double ended)
{
    tape->dropped++;
    if (tape->dropped_at < ended) {
        tape->dropped_at = ended;
    }
}

/* Keep an event; there is room.  What leaves for it is given up when that is done. */
static inline void
tape_keep(Tape *tape, double ended, double seconds, PyObject *detail, PyObject *key)
{
    PyObject *gone_detail = NULL, *gone_key = NULL;
    tape->end++;
    if (tape->count == (size_t)tape->most) {
        Event *oldest = tape_at(tape, 0);
        if (ended < oldest->ended) { /* it came so late that it leaves at once */
            tape_note_drop(tape, ended);
            return;
        }
        tape_note_drop(tape, oldest->ended);
        gone_detail = oldest->detail;
        gone_key = oldest->key;
        tape_step(tape);
    }
    size_t place = tape->count++;
    for (; place > 0 && tape_at(tape, place - 1)->ended > ended; place--) {
        *tape_at(tape, place) = *tape_at(tape, place - 1);
    }
    Event *event = tape_at(tape, place);
    event->ended = ended;
    event->seconds = seconds;
    event->detail = Py_XNewRef(detail);
    event->key = Py_NewRef(key);
    Py_XDECREF(gone_detail);
    Py_XDECREF(gone_key);
}

/* -- totals */

/* As `moment // width` in Python. */
static int64_t
tape_index(Tape *tape, double moment)
{
    if (tape->known_from <= moment && moment <= tape->known_until) {
        return tape->head;
    }
    double rest = fmod(moment, tape->width), quotient = (moment - rest) / tape->width;
    if (rest < 0) {
        quotient -= 1.0;
    }
    double index = floor(quotient);
    if (quotient - index > 0.5) {
        index += 1.0;
    }
    if (!(index > -(double)LAST_INDEX)) {
        return -LAST_INDEX;
    }
    return index < (double)LAST_INDEX ? (int64_t)index : LAST_INDEX;
}

/* As in Python, where the quotient is rounded down and the remainder is not negative. */
static inline int64_t
section_of(int64_t index)
{
    return index >= 0 ? index / PER_SLICE : -((PER_SLICE - 1 - index) / PER_SLICE);
}

static inline size_t
slot_of(int64_t number, int slots)
{
    int64_t slot = number % slots;
    return (size_t)(slot < 0 ? slot + slots : slot);
}

static inline int
cell_of(double seconds)
{
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof(bits));
    int cell = (int)(bits >> 48) - CELL_BASE;
    return cell < 0 ? 0 : cell < CELLS ? cell : CELLS - 1;
}

static void
tape_forget(Tape *tape, int64_t section)
{
    if (section <= tape->floor) {
        return;
    }
    tape->floor = section;
    for (int i = 0; i < SLICES; i++) {
        int64_t *cells = tape->slices[i];
        if (cells != NULL && tape->section_of[i] < section) {
            tape->slices[i] = NULL;
            if (cells == tape->head_cells) {
                tape->head_bucket = NULL;
                tape->head_cells = NULL;
            }
            PyMem_Free(cells);
        }
    }
}

/* The bucket of a time, to which the head goes on if it is newer, and have a histogram for it; -1 with MemoryError. */
static int
tape_prepare(Tape *tape, double moment, int64_t *index)
{
    *index = tape_index(tape, moment);
    if (*index > tape->head) {
        tape->head = *index;
        tape->head_bucket = NULL;
        /* Times that lie in a bucket lie in it together with all between them.  Its upper end is a product, which is
         * exact to its last bit: a little less than that is within it for sure. */
        double until = (double)(*index + 1) * tape->width;
        tape->known_from = moment;
        tape->known_until = until - fabs(until) * 0x1p-50;
        tape_forget(tape, section_of(*index) - SLICES + 1);
    }
    int64_t section = section_of(*index);
    size_t slot = slot_of(section, SLICES);
    if (section >= tape->floor && tape->slices[slot] == NULL) {
        int64_t *cells = PyMem_Calloc(CELLS, sizeof(int64_t));
        if (cells == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        tape->slices[slot] = cells;
        tape->section_of[slot] = section;
    }
    return 0;
}

static inline int
is_cancelled(PyObject *detail)
{
    return detail != NULL && PyUnicode_Check(detail);
}

static inline void
bucket_add(Bucket *bucket, int64_t *cells, double seconds, PyObject *detail)
{
    int is_off = is_cancelled(detail), cell = cell_of(seconds);
    bucket->count++;
    bucket->errors += detail != NULL && !is_off;
    bucket->cancelled += is_off;
    bucket->seconds += seconds;
    cells[cell]++;
}

/* Count an event, for whose time tape_prepare() was called. */
static void
tape_count(Tape *tape, int64_t index, double seconds, PyObject *detail)
{
    if (section_of(index) < tape->floor) {
        return; /* it came so late that nobody can ask for it */
    }
    Bucket *bucket = &tape->buckets[slot_of(index, RING)];
    int64_t *cells = tape->slices[slot_of(section_of(index), SLICES)];
    if (bucket->index != index) {
        *bucket = (Bucket){.index = index};
    }
    if (index == tape->head) {
        tape->head_bucket = bucket;
        tape->head_cells = cells;
    }
    bucket_add(bucket, cells, seconds, detail);
}

/* Enter one event, in the window's own time; the tape takes its own references.  -1 with MemoryError: not entered. */
static inline int
tape_enter(Tape *tape, double ended, double seconds, PyObject *detail, PyObject *key)
{
    if (!tape_has_room(tape) && tape_reserve(tape, 1) < 0) {
        return -1;
    }
    if (tape->head_bucket != NULL && tape->known_from <= ended && ended <= tape->known_until) {
        bucket_add(tape->head_bucket, tape->head_cells, seconds, detail);
    }
    else {
        int64_t index;
        if (tape_prepare(tape, ended, &index) < 0) {
            return -1;
        }
        tape_count(tape, index, seconds, detail);
    }
    if (tape->count > 0 && tape_at(tape, 0)->ended + tape->span <= ended) {
        tape_expire(tape, ended, EXPIRE);
    }
    tape_keep(tape, ended, seconds, detail, key);
    return 0;
}

/* -- events as Python has them */

static inline PyObject *
detail_of(PyObject *detail)
{
    return PyUnicode_Check(detail) && PyUnicode_GET_LENGTH(detail) == 2 ? NULL : detail; /* "ok" */
}

/* Read a tuple (ended, seconds, detail, key); references are borrowed from it. */
static int
event_read(PyObject *raw, Event *event)
{
    if (!PyTuple_Check(raw) || PyTuple_GET_SIZE(raw) != 4) {
        PyErr_Format(PyExc_TypeError, "events: %R is no event; give (ended, seconds, detail, key)", raw);
        return -1;
    }
    event->ended = PyFloat_AsDouble(PyTuple_GET_ITEM(raw, 0));
    if (event->ended == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    event->seconds = PyFloat_AsDouble(PyTuple_GET_ITEM(raw, 1));
    if (event->seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    event->detail = detail_of(PyTuple_GET_ITEM(raw, 2));
    event->key = PyTuple_GET_ITEM(raw, 3);
    return 0;
}

static PyObject *
event_tuple(State *state, Event *event)
{
    PyObject *detail = event->detail == NULL ? state->window_ok : event->detail;
    return Py_BuildValue("(ddOO)", event->ended, event->seconds, detail, event->key);
}

/* fold(pending, raws, batch): enter a batch, ordered by its ends and in the window's own time, and take out of the queue
 * what it was made of, if that stands there still.  One step, which may be asked for twice. */
static PyObject *
tape_fold(Tape *tape, PyObject *args)
{
    PyObject *pending, *raws, *batch;
    if (!PyArg_ParseTuple(args, "O!O!O!:fold", &PyList_Type, &pending, &PyList_Type, &raws, &PyList_Type, &batch)) {
        return NULL;
    }
    Py_ssize_t number = PyList_GET_SIZE(batch);
    Event *events = PyMem_New(Event, number + 1);
    if (events == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = NULL;
    int64_t index;
    for (Py_ssize_t i = 0; i < number; i++) {
        if (event_read(PyList_GET_ITEM(batch, i), &events[i]) < 0) {
            goto done;
        }
    }
    Py_ssize_t waiting = PyList_GET_SIZE(raws); /* from here on no code runs but this */
    if (number == 0 || waiting == 0 || PyList_GET_SIZE(pending) < waiting ||
        PyList_GET_ITEM(pending, 0) != PyList_GET_ITEM(raws, 0)) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    if (tape_reserve(tape, (size_t)number) < 0 || tape_prepare(tape, events[number - 1].ended, &index) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < number; i++) {
        if (tape_prepare(tape, events[i].ended, &index) < 0) {
            goto done;
        }
    }
    if (PyList_SetSlice(pending, 0, waiting, NULL) < 0) {
        goto done;
    }
    tape_expire(tape, events[number - 1].ended, EXPIRE);
    for (Py_ssize_t i = 0; i < number; i++) {
        Event *event = &events[i];
        tape_count(tape, tape_index(tape, event->ended), event->seconds, event->detail);
        tape_keep(tape, event->ended, event->seconds, event->detail, event->key);
    }
    result = Py_NewRef(Py_None);
done:
    PyMem_Free(events);
    return result;
}

/* keep(raw): keep an event without counting it, for who uses the kept events as a cache. */
static PyObject *
tape_py_keep(Tape *tape, PyObject *raw)
{
    Event event;
    if (event_read(raw, &event) < 0 || tape_reserve(tape, 1) < 0) {
        return NULL;
    }
    tape_keep(tape, event.ended, event.seconds, event.detail, event.key);
    Py_RETURN_NONE;
}

static PyObject *
tape_py_popleft(Tape *tape, PyObject *Py_UNUSED(unused))
{
    State *state = state_of(Py_TYPE(tape));
    if (state == NULL) {
        return NULL;
    }
    if (tape->count == 0) {
        PyErr_SetString(PyExc_IndexError, "nothing is kept");
        return NULL;
    }
    PyObject *raw = event_tuple(state, tape_at(tape, 0));
    if (raw != NULL) {
        tape_drop_oldest(tape);
    }
    return raw;
}

static Py_ssize_t
tape_length(Tape *tape)
{
    return (Py_ssize_t)tape->count;
}

static PyObject *
tape_item(Tape *tape, Py_ssize_t i)
{
    State *state = state_of(Py_TYPE(tape));
    if (state == NULL) {
        return NULL;
    }
    if (i < 0 || i >= (Py_ssize_t)tape->count) {
        PyErr_SetString(PyExc_IndexError, "no event is kept at this position");
        return NULL;
    }
    return event_tuple(state, tape_at(tape, (size_t)i));
}

/* Two positions among the kept events, the first not above the second. */
static int
tape_positions(Tape *tape, PyObject *args, size_t *begin, size_t *end)
{
    Py_ssize_t first, last;
    if (!PyArg_ParseTuple(args, "nn", &first, &last)) {
        return -1;
    }
    Py_ssize_t count = (Py_ssize_t)tape->count;
    last = last < 0 ? 0 : last > count ? count : last;
    first = first < 0 ? 0 : first > last ? last : first;
    *begin = (size_t)first;
    *end = (size_t)last;
    return 0;
}

/* part(begin, end): the events at these positions, as a list. */
static PyObject *
tape_part(Tape *tape, PyObject *args)
{
    State *state = state_of(Py_TYPE(tape));
    size_t begin, end;
    if (state == NULL || tape_positions(tape, args, &begin, &end) < 0) {
        return NULL;
    }
    PyObject *list = PyList_New((Py_ssize_t)(end - begin));
    for (size_t i = begin; list != NULL && i < end; i++) {
        PyObject *raw = event_tuple(state, tape_at(tape, i));
        if (raw == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)(i - begin), raw);
    }
    return list;
}

/* expire(now, most): remove events that are out of the span, at most so many; how many went. */
static PyObject *
tape_py_expire(Tape *tape, PyObject *args)
{
    double now;
    int most;
    if (!PyArg_ParseTuple(args, "di:expire", &now, &most)) {
        return NULL;
    }
    return PyLong_FromLong(tape_expire(tape, now, most));
}

/* first_within(now, last_s): position of the oldest event that ended less than last_s ago. */
static PyObject *
tape_first_within(Tape *tape, PyObject *args)
{
    double now, last_s;
    if (!PyArg_ParseTuple(args, "dd:first_within", &now, &last_s)) {
        return NULL;
    }
    size_t low = 0, high = tape->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (now < tape_at(tape, middle)->ended + last_s) {
            high = middle;
        }
        else {
            low = middle + 1;
        }
    }
    return PyLong_FromSize_t(low);
}

/* tally(begin, end): calls, errors, cancelled calls and seconds of the events at these positions. */
static PyObject *
tape_tally(Tape *tape, PyObject *args)
{
    size_t begin, end;
    if (tape_positions(tape, args, &begin, &end) < 0) {
        return NULL;
    }
    Py_ssize_t errors = 0, cancelled = 0;
    double seconds = 0.0;
    for (size_t i = begin; i < end; i++) {
        Event *event = tape_at(tape, i);
        int is_off = is_cancelled(event->detail);
        errors += event->detail != NULL && !is_off;
        cancelled += is_off;
        seconds += event->seconds;
    }
    return Py_BuildValue("(nnnd)", (Py_ssize_t)(end - begin), errors, cancelled, seconds);
}

static PyObject *
list_of_cells(const int64_t *cells)
{
    PyObject *list = PyList_New(CELLS);
    for (int cell = 0; list != NULL && cell < CELLS; cell++) {
        PyObject *times = PyLong_FromLongLong(cells[cell]);
        if (times == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, cell, times);
    }
    return list;
}

/* cells(begin, end): how many of the events at these positions each cell of a histogram holds. */
static PyObject *
tape_cells(Tape *tape, PyObject *args)
{
    size_t begin, end;
    if (tape_positions(tape, args, &begin, &end) < 0) {
        return NULL;
    }
    int64_t cells[CELLS] = {0};
    for (size_t i = begin; i < end; i++) {
        cells[cell_of(tape_at(tape, i)->seconds)]++;
    }
    return list_of_cells(cells);
}

/* -- totals as Python has them */

static PyObject *
tape_py_index(Tape *tape, PyObject *moment)
{
    double value = PyFloat_AsDouble(moment);
    if (value == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return PyLong_FromLongLong(tape_index(tape, value));
}

/* Add the bucket of an index to *sum*; nothing, if it is not there. */
static void
tape_add_bucket(Tape *tape, int64_t index, Bucket *sum)
{
    Bucket *bucket = &tape->buckets[slot_of(index, RING)];
    if (bucket->index == index) {
        sum->count += bucket->count;
        sum->errors += bucket->errors;
        sum->cancelled += bucket->cancelled;
        sum->seconds += bucket->seconds;
    }
}

static PyObject *
bucket_tuple(Bucket *bucket)
{
    return Py_BuildValue("(LLLd)", (long long)bucket->count, (long long)bucket->errors, (long long)bucket->cancelled,
                         bucket->seconds);
}

/* bucket(index): calls, errors, cancelled calls, seconds of one bucket. */
static PyObject *
tape_bucket(Tape *tape, PyObject *arg)
{
    long long index = PyLong_AsLongLong(arg);
    if (index == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Bucket sum = {0};
    tape_add_bucket(tape, index, &sum);
    return bucket_tuple(&sum);
}

/* since(first): of this bucket and all after it. */
static PyObject *
tape_since(Tape *tape, PyObject *arg)
{
    long long first = PyLong_AsLongLong(arg);
    if (first == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Bucket sum = {0};
    if (tape->head != NO_BUCKET) {
        for (int64_t index = tape->head; index > tape->head - RING && index >= first; index--) {
            tape_add_bucket(tape, index, &sum);
        }
    }
    return bucket_tuple(&sum);
}

/* histogram(section): calls by cell, of this slice and all after it. */
static PyObject *
tape_histogram(Tape *tape, PyObject *arg)
{
    long long section = PyLong_AsLongLong(arg);
    if (section == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int64_t cells[CELLS] = {0};
    for (int i = 0; i < SLICES; i++) {
        if (tape->slices[i] != NULL && tape->section_of[i] >= section) {
            for (int cell = 0; cell < CELLS; cell++) {
                cells[cell] += tape->slices[i][cell];
            }
        }
    }
    return list_of_cells(cells);
}

/* slice_cells(section): calls by cell of one slice; None: it has no histogram. */
static PyObject *
tape_slice_cells(Tape *tape, PyObject *arg)
{
    long long section = PyLong_AsLongLong(arg);
    if (section == -1 && PyErr_Occurred()) {
        return NULL;
    }
    size_t slot = slot_of(section, SLICES);
    if (tape->slices[slot] == NULL || tape->section_of[slot] != section) {
        Py_RETURN_NONE;
    }
    return list_of_cells(tape->slices[slot]);
}

/* forget(section): let go of the histograms of slices before this one. */
static PyObject *
tape_py_forget(Tape *tape, PyObject *arg)
{
    long long section = PyLong_AsLongLong(arg);
    if (section == -1 && PyErr_Occurred()) {
        return NULL;
    }
    tape_forget(tape, section);
    Py_RETURN_NONE;
}

/* sections(): the numbers of the slices that have a histogram. */
static PyObject *
tape_sections(Tape *tape, PyObject *Py_UNUSED(unused))
{
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < SLICES; i++) {
        if (tape->slices[i] != NULL) {
            PyObject *number = PyLong_FromLongLong(tape->section_of[i]);
            if (number == NULL || PyList_Append(list, number) < 0) {
                Py_CLEAR(list);
            }
            Py_XDECREF(number);
        }
    }
    return list;
}

/* check(): raise AssertionError if an invariant does not hold; for tests. */
static PyObject *
tape_check(Tape *tape, PyObject *Py_UNUSED(unused))
{
    const char *wrong = NULL;
    if (tape->count > (size_t)tape->most) {
        wrong = "more is kept than may be";
    }
    for (size_t i = 1; i < tape->count; i++) {
        if (tape_at(tape, i)->ended < tape_at(tape, i - 1)->ended) {
            wrong = "kept events are out of order";
        }
    }
    for (size_t i = 0, blocks = 0; i < tape->room; i++) {
        blocks += tape->blocks[i] != NULL;
        if (blocks > tape->count / BLOCK + 2 + EXPIRE / BLOCK) {
            wrong = "blocks are held that nothing is in";
        }
    }
    if (tape->dropped == 0 && tape->dropped_at != -Py_HUGE_VAL) {
        wrong = "something was dropped, and not counted";
    }
    for (int i = 0; i < SLICES; i++) {
        if (tape->slices[i] == NULL) {
            continue;
        }
        int64_t first = tape->section_of[i] * PER_SLICE, calls = 0;
        Bucket total = {0};
        for (int64_t index = first; index < first + PER_SLICE; index++) {
            tape_add_bucket(tape, index, &total);
        }
        for (int cell = 0; cell < CELLS; cell++) {
            calls += tape->slices[i][cell];
        }
        if (calls != total.count || calls == 0) {
            wrong = "a histogram does not count what its buckets count";
        }
    }
    for (size_t slot = 0; slot < RING; slot++) {
        Bucket *bucket = &tape->buckets[slot];
        if (bucket->index != NO_BUCKET && (slot_of(bucket->index, RING) != slot || bucket->index > tape->head)) {
            wrong = "a bucket is in another's place";
        }
        if (bucket->errors + bucket->cancelled > bucket->count) {
            wrong = "more calls failed than there were";
        }
    }
    if (wrong != NULL) {
        PyErr_SetString(PyExc_AssertionError, wrong);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
tape_sizeof(Tape *tape, PyObject *Py_UNUSED(unused))
{
    size_t bytes = sizeof(Tape) + tape->room * sizeof(Event *);
    bytes += tape->spare != NULL ? BLOCK * sizeof(Event) : 0;
    for (size_t i = 0; i < tape->room; i++) {
        bytes += tape->blocks[i] != NULL ? BLOCK * sizeof(Event) : 0;
    }
    for (int i = 0; i < SLICES; i++) {
        bytes += tape->slices[i] != NULL ? CELLS * sizeof(int64_t) : 0;
    }
    return PyLong_FromSize_t(bytes);
}

/* Tape(span_s, most) */
static PyObject *
tape_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    double span;
    Py_ssize_t most;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Tape: takes no keywords; give span_s and most by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "dn:Tape", &span, &most)) {
        return NULL;
    }
    if (!(span > 0.0) || most < 1) {
        PyErr_SetString(PyExc_ValueError, "Tape: span_s and most must be positive");
        return NULL;
    }
    Tape *tape = (Tape *)type->tp_alloc(type, 0);
    if (tape == NULL) {
        return NULL;
    }
    tape->span = span;
    tape->width = span / BUCKETS;
    tape->most = most;
    tape->dropped_at = -Py_HUGE_VAL;
    tape->head = tape->floor = NO_BUCKET;
    tape->known_from = Py_HUGE_VAL;
    tape->known_until = -Py_HUGE_VAL;
    for (int slot = 0; slot < RING; slot++) {
        tape->buckets[slot].index = NO_BUCKET;
    }
    return (PyObject *)tape;
}

static void
tape_dealloc(Tape *tape)
{
    PyTypeObject *type = Py_TYPE(tape);
    while (tape->count > 0) {
        tape_drop_oldest(tape);
    }
    for (size_t i = 0; i < tape->room; i++) {
        PyMem_Free(tape->blocks[i]);
    }
    PyMem_Free(tape->blocks);
    PyMem_Free(tape->spare);
    for (int i = 0; i < SLICES; i++) {
        PyMem_Free(tape->slices[i]);
    }
    type->tp_free(tape);
    Py_DECREF(type);
}

static PyObject *
tape_get_dropped_at(Tape *tape, void *Py_UNUSED(closure))
{
    if (tape->dropped_at == -Py_HUGE_VAL) {
        Py_RETURN_NONE;
    }
    return PyFloat_FromDouble(tape->dropped_at);
}

static int
tape_set_dropped_at(Tape *tape, PyObject *value, void *Py_UNUSED(closure))
{
    double moment = value == NULL || value == Py_None ? -Py_HUGE_VAL : PyFloat_AsDouble(value);
    if (moment == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    tape->dropped_at = moment;
    return 0;
}

static PyObject *
tape_get_head(Tape *tape, void *Py_UNUSED(closure))
{
    if (tape->head == NO_BUCKET) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLongLong(tape->head);
}

static PyMemberDef tape_members[] = {
    {"span_s", T_DOUBLE, offsetof(Tape, span), READONLY, "length of the window in seconds"},
    {"width", T_DOUBLE, offsetof(Tape, width), READONLY, "length of a bucket in seconds"},
    {"most", T_PYSSIZET, offsetof(Tape, most), READONLY, "most events that are kept"},
    {"end", T_LONGLONG, offsetof(Tape, end), 0, "number of the event that comes next"},
    {"dropped", T_LONGLONG, offsetof(Tape, dropped), 0, "events that left for want of room"},
    {NULL},
};

static PyGetSetDef tape_getset[] = {
    {"dropped_at", (getter)tape_get_dropped_at, (setter)tape_set_dropped_at, "end of the latest of them, or None", NULL},
    {"head", (getter)tape_get_head, NULL, "index of the newest bucket, or None", NULL},
    {NULL},
};

static PyMethodDef tape_methods[] = {
    {"fold", (PyCFunction)tape_fold, METH_VARARGS, "Enter a batch, and take it out of the queue, in one step."},
    {"keep", (PyCFunction)tape_py_keep, METH_O, "Keep an event without counting it."},
    {"popleft", (PyCFunction)tape_py_popleft, METH_NOARGS, "Take out and return the oldest event."},
    {"part", (PyCFunction)tape_part, METH_VARARGS, "The events at these positions, as a list."},
    {"expire", (PyCFunction)tape_py_expire, METH_VARARGS, "Remove events out of the span, at most so many; how many."},
    {"first_within", (PyCFunction)tape_first_within, METH_VARARGS, "Position of the oldest event within so long."},
    {"tally", (PyCFunction)tape_tally, METH_VARARGS, "Calls, errors, cancelled calls, seconds at these positions."},
    {"cells", (PyCFunction)tape_cells, METH_VARARGS, "Calls by cell at these positions."},
    {"index", (PyCFunction)tape_py_index, METH_O, "The bucket of a time."},
    {"bucket", (PyCFunction)tape_bucket, METH_O, "Calls, errors, cancelled calls, seconds of a bucket."},
    {"since", (PyCFunction)tape_since, METH_O, "The same of a bucket and all after it."},
    {"histogram", (PyCFunction)tape_histogram, METH_O, "Calls by cell, of a slice and all after it."},
    {"slice_cells", (PyCFunction)tape_slice_cells, METH_O, "Calls by cell of a slice, or None."},
    {"forget", (PyCFunction)tape_py_forget, METH_O, "Let go of the histograms of slices before this one."},
    {"sections", (PyCFunction)tape_sections, METH_NOARGS, "The slices that have a histogram."},
    {"check", (PyCFunction)tape_check, METH_NOARGS, "Raise AssertionError if an invariant does not hold."},
    {"__sizeof__", (PyCFunction)tape_sizeof, METH_NOARGS, "What it takes, but for the keys."},
    {NULL},
};

static PyType_Slot tape_slots[] = {
    {Py_tp_doc, "What a sliding window holds: the latest events in full, and the totals of all."},
    {Py_tp_new, tape_new},         {Py_tp_dealloc, tape_dealloc}, {Py_tp_members, tape_members},
    {Py_tp_getset, tape_getset},   {Py_tp_methods, tape_methods}, {Py_sq_length, tape_length},
    {Py_sq_item, tape_item},       {0, NULL},
};

static PyType_Spec tape_spec = {
    "memo._native._speed.Tape", sizeof(Tape), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, tape_slots,
};

/* -- the fields of OwnTime and Intake */

typedef struct {
    PyObject_HEAD
    double high, offset, anchor;
} TimeFields;

static void
time_fields_dealloc(TimeFields *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef time_fields_members[] = {
    {"high", T_DOUBLE, offsetof(TimeFields, high), 0, NULL},
    {"offset", T_DOUBLE, offsetof(TimeFields, offset), 0, NULL},
    {"anchor", T_DOUBLE, offsetof(TimeFields, anchor), 0, NULL},
    {NULL},
};

static PyType_Slot time_fields_slots[] = {
    {Py_tp_doc, "The fields of a window's own time."},
    {Py_tp_dealloc, time_fields_dealloc},
    {Py_tp_members, time_fields_members},
    {0, NULL},
};

static PyType_Spec time_fields_spec = {
    "memo._native._speed.TimeFields", sizeof(TimeFields), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, time_fields_slots,
};

typedef struct {
    PyObject_HEAD
    double last;
    int busy, batch;                /* `batch`: how long the queue may get before it is folded */
    PyObject *pending, *plan;       /* a list; None: nothing is planned */
    PyObject *contents;
    Tape *direct;                   /* what calls enter their events into, as `contents` says; NULL: nothing */
    TimeFields *time;
} IntakeFields;

static int
intake_traverse(IntakeFields *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pending);
    Py_VISIT(self->plan);
    Py_VISIT(self->contents);
    Py_VISIT(self->direct);
    Py_VISIT(self->time);
    return 0;
}

static int
intake_clear(IntakeFields *self)
{
    Py_CLEAR(self->pending);
    Py_CLEAR(self->plan);
    Py_CLEAR(self->contents);
    Py_CLEAR(self->direct);
    Py_CLEAR(self->time);
    return 0;
}

static void
intake_dealloc(IntakeFields *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    intake_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
intake_get_contents(IntakeFields *self, void *Py_UNUSED(closure))
{
    if (self->contents == NULL) {
        PyErr_SetString(PyExc_AttributeError, "contents");
        return NULL;
    }
    return Py_NewRef(self->contents);
}

/* With the tape that calls may enter their events into, which is `contents.direct`. */
static int
intake_set_contents(IntakeFields *self, PyObject *value, void *Py_UNUSED(closure))
{
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return -1;
    }
    PyObject *direct = NULL;
    if (value != NULL) {
        direct = PyObject_GetAttr(value, state->window_direct);
        if (direct == NULL) {
            return -1;
        }
        if (direct == Py_None) {
            Py_CLEAR(direct);
        }
        else if (!Py_IS_TYPE(direct, state->Tape)) {
            PyErr_Format(PyExc_TypeError, "contents: direct=%R is no Tape; give one, or None", direct);
            Py_DECREF(direct);
            return -1;
        }
    }
    PyObject *old_contents = self->contents, *old_direct = (PyObject *)self->direct;
    self->contents = Py_XNewRef(value);
    self->direct = (Tape *)direct;
    Py_XDECREF(old_contents);
    Py_XDECREF(old_direct);
    return 0;
}

static PyObject *
intake_get_time(IntakeFields *self, void *Py_UNUSED(closure))
{
    if (self->time == NULL) {
        PyErr_SetString(PyExc_AttributeError, "time");
        return NULL;
    }
    return Py_NewRef((PyObject *)self->time);
}

static int
intake_set_time(IntakeFields *self, PyObject *value, void *Py_UNUSED(closure))
{
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return -1;
    }
    if (value != NULL && !PyObject_TypeCheck(value, state->TimeFields)) {
        PyErr_Format(PyExc_TypeError, "time: %R has no fields of a window's time; give an OwnTime", value);
        return -1;
    }
    PyObject *old = (PyObject *)self->time;
    self->time = (TimeFields *)Py_XNewRef(value);
    Py_XDECREF(old);
    return 0;
}

/* Put an event into the queue of a window that counts keys, as `Intake.note()` does: 1 done, 0 it is odd, -1 with an
 * exception. */
static int
intake_queue(IntakeFields *self, double took, double ended, PyObject *detail, PyObject *key)
{
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return -1;
    }
    if (self->contents == NULL || self->pending == NULL || !PyList_CheckExact(self->pending) ||
        !(took >= 0.0 && took < Py_HUGE_VAL && ended >= self->last)) {
        return 0;
    }
    self->last = ended;
    PyObject *raw = Py_BuildValue("(ddOO)", ended, took, detail == NULL ? state->window_ok : detail, key);
    int added = raw == NULL ? -1 : PyList_Append(self->pending, raw);
    Py_XDECREF(raw);
    if (added < 0) {
        return -1;
    }
    Py_ssize_t waiting = PyList_GET_SIZE(self->pending);
    if (waiting >= self->batch) {
        PyObject *number = PyLong_FromSsize_t(waiting), *done = NULL;
        if (number != NULL) {
            done = PyObject_CallMethodOneArg((PyObject *)self, state->window_relieve, number);
            Py_DECREF(number);
        }
        Py_XDECREF(done);
        return done == NULL ? -1 : 1;
    }
    return 1;
}

/* Enter an event straight away: 1 done, 0 it has to go through the queue, -1 with MemoryError.  `detail` may be NULL. */
static inline int
intake_take(IntakeFields *self, double took, double ended, PyObject *detail, PyObject *key)
{
    Tape *tape = self->direct;
    TimeFields *time = self->time;
    if (tape == NULL) {
        return intake_queue(self, took, ended, detail, key);
    }
    /* Of times that are not finite, one of the comparisons is false. */
    if (time == NULL || self->busy != 0 || self->plan != Py_None || self->pending == NULL ||
        !PyList_CheckExact(self->pending) || PyList_GET_SIZE(self->pending) != 0 ||
        !(took >= 0.0 && took < Py_HUGE_VAL && ended >= self->last && ended >= time->high)) {
        return 0;
    }
    if (tape_enter(tape, ended + time->offset, took, detail, key) < 0) {
        return -1;
    }
    self->last = time->high = ended;
    return 1;
}

/* enter(started, ended, detail, key): record what is ready to be kept. */
static PyObject *
intake_enter(IntakeFields *self, PyObject *const *args, Py_ssize_t number)
{
    if (number != 4) {
        PyErr_Format(PyExc_TypeError, "enter() takes 4 arguments, and %zd were given", number);
        return NULL;
    }
    int taken = 0;
    if (PyFloat_CheckExact(args[0]) && PyFloat_CheckExact(args[1])) {
        double ended = PyFloat_AS_DOUBLE(args[1]);
        taken = intake_take(self, ended - PyFloat_AS_DOUBLE(args[0]), ended, detail_of(args[2]), args[3]);
    }
    if (taken < 0) {
        return NULL;
    }
    if (taken) {
        Py_RETURN_NONE;
    }
    State *state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    PyObject *with_self[5] = {(PyObject *)self, args[0], args[1], args[2], args[3]};
    return PyObject_VectorcallMethod(state->window_queue, with_self, 5, NULL);
}

static PyMemberDef intake_members[] = {
    {"_last", T_DOUBLE, offsetof(IntakeFields, last), 0, NULL},
    {"_busy", T_INT, offsetof(IntakeFields, busy), 0, NULL},
    {"_batch", T_INT, offsetof(IntakeFields, batch), 0, NULL},
    {"_pending", T_OBJECT_EX, offsetof(IntakeFields, pending), 0, NULL},
    {"_plan", T_OBJECT, offsetof(IntakeFields, plan), 0, NULL},
    {NULL},
};

static PyGetSetDef intake_getset[] = {
    {"contents", (getter)intake_get_contents, (setter)intake_set_contents, NULL, NULL},
    {"time", (getter)intake_get_time, (setter)intake_set_time, NULL, NULL},
    {NULL},
};

static PyMethodDef intake_methods[] = {
    {"enter", (PyCFunction)(void (*)(void))intake_enter, METH_FASTCALL, "Record what is ready to be kept."},
    {NULL},
};

static PyType_Slot intake_slots[] = {
    {Py_tp_doc, "The fields of an intake that a call looks at which records itself."},
    {Py_tp_dealloc, intake_dealloc}, {Py_tp_traverse, intake_traverse}, {Py_tp_clear, intake_clear},
    {Py_tp_members, intake_members}, {Py_tp_getset, intake_getset},     {Py_tp_methods, intake_methods},
    {0, NULL},
};

static PyType_Spec intake_spec = {
    "memo._native._speed.IntakeFields", sizeof(IntakeFields), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, intake_slots,
};

/* -- calls that record themselves
 *
 * What a window's generated wrapper does (memo/_window/templates.py): make the key small, read the clock, call, read the
 * clock, enter.  Nothing is a doubt once the clock was read: where C does not know how to go on, it calls what the
 * wrapper would call.
 */

enum {
    LONGEST = 200, /* text that is kept as it is; see memo/_base/key_text.py */
    ITEMS = 8,     /* longest tuple that is */
};

/* Whether a value is kept as it is. */
static inline int
is_small(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type) {
        return PyUnicode_GET_LENGTH(value) <= LONGEST;
    }
    if (type == &PyLong_Type) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        return overflow == 0 && number != LLONG_MIN;
    }
    return value == Py_None || type == &PyBool_Type || type == &PyFloat_Type ||
           (type == &PyBytes_Type && PyBytes_GET_SIZE(value) <= LONGEST);
}

/* A key as `stored_key()` leaves it; a new reference in place of the one that is given, or NULL with an exception. */
static PyObject *
small_key(PyObject *stored, PyObject *key)
{
    int small = is_small(key);
    if (!small && PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) <= ITEMS) {
        small = 1;
        for (Py_ssize_t i = 0; small && i < PyTuple_GET_SIZE(key); i++) {
            small = is_small(PyTuple_GET_ITEM(key, i));
        }
    }
    if (!small) {
        Py_SETREF(key, PyObject_CallOneArg(stored, key));
    }
    return key;
}

/* Call what handles the exception that is raised, with it as its last argument, as in an `except` clause.  Returns what
 * that returns; NULL with the exception that it raised.  With *again* the one that was handled is raised again then. */
static PyObject *
handle(PyObject *handler, PyObject *first, PyObject *second, int again)
{
    _PyErr_StackItem *handled = PyThreadState_Get()->exc_info;
    PyObject *error = taken_error(), *before = handled->exc_value;
    PyObject *args[] = {first, second, error};
    size_t skipped = first == NULL ? 2 : 0;
    handled->exc_value = Py_NewRef(error);
    PyObject *answer = PyObject_Vectorcall(handler, args + skipped, 3 - skipped, NULL);
    PyObject *mine = handled->exc_value;
    handled->exc_value = before;
    Py_XDECREF(mine);
    if (answer == NULL || !again) {
        Py_DECREF(error);
        return answer;
    }
    Py_DECREF(answer);
    raise_again(error);
    return NULL;
}

/* What a clock showed. */
typedef struct {
    int64_t nanoseconds; /* since an arbitrary start; 0: not told */
    double seconds;      /* the same as the clock shows it, unless nanoseconds tell it */
    PyObject *odd;       /* what it showed that is no float; owned, or NULL */
} Reading;

/* Read the clock; -1 with the exception that it raised. */
static inline int
read_clock(int is_monotonic, PyObject *clock, Reading *reading)
{
#ifdef __linux__
    struct timespec now;
    if (is_monotonic && clock_gettime(CLOCK_MONOTONIC, &now) == 0) {
        reading->nanoseconds = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        return 0;
    }
#endif
    PyObject *shown = PyObject_CallNoArgs(clock);
    if (shown == NULL) {
        return -1;
    }
    if (PyFloat_CheckExact(shown)) {
        reading->seconds = PyFloat_AS_DOUBLE(shown);
        Py_DECREF(shown);
    }
    else {
        reading->odd = shown;
    }
    return 0;
}

static inline double
seconds_of(Reading *reading)
{
    if (reading->nanoseconds == 0) {
        return reading->seconds;
    }
    /* To the last bit what time.monotonic() returns.  (Below 2**53 the quotient is exact where it is a whole number.) */
    if (reading->nanoseconds >> 53 != 0 && reading->nanoseconds % 1000000000 == 0) {
        return (double)(reading->nanoseconds / 1000000000);
    }
    return (double)reading->nanoseconds / 1e9;
}

static PyObject *
reading_as_object(Reading *reading)
{
    return reading->odd != NULL ? Py_NewRef(reading->odd) : PyFloat_FromDouble(seconds_of(reading));
}

/* What a record goes by: the copies of its Call, in a tuple which goes on as long as a call does that began with it. */
#define OF(on, word) PyTuple_GET_ITEM(on, word)

/* Enter a call that went well; -1 with an exception. */
static int
record_end(PyObject *on, int is_monotonic, Reading *began, PyObject *key)
{
    IntakeFields *intake = (IntakeFields *)OF(on, WORD_INTAKE);
    Reading ended = {0};
    if (read_clock(is_monotonic, OF(on, WORD_CLOCK), &ended) < 0) {
        return -1;
    }
    int taken = 0;
    if (began->nanoseconds != 0 && ended.nanoseconds != 0) {
        double took = (double)(ended.nanoseconds - began->nanoseconds) * 1e-9;
        taken = intake_take(intake, took, seconds_of(&ended), NULL, key);
    }
    else if (began->odd == NULL && ended.odd == NULL) {
        taken = intake_take(intake, seconds_of(&ended) - seconds_of(began), seconds_of(&ended), NULL, key);
    }
    if (taken == 0) {
        taken = -1;
        State *state = state_of(Py_TYPE(intake));
        PyObject *first = reading_as_object(began), *last = reading_as_object(&ended), *done = NULL;
        if (state != NULL && first != NULL && last != NULL) {
            PyObject *args[] = {(PyObject *)intake, first, last, state->window_ok, key};
            done = PyObject_VectorcallMethod(state->window_queue, args, 5, NULL);
        }
        taken = done == NULL ? -1 : 1;
        Py_XDECREF(first);
        Py_XDECREF(last);
        Py_XDECREF(done);
    }
    Py_XDECREF(ended.odd);
    return taken < 0 ? -1 : 0;
}

/* Let an `Exception` that is raised be handled; returns what the handler returns, NULL with what is to go on to the
 * caller: whatever is no Exception, or what the handler raised. */
static inline PyObject *
handle_exception(PyObject *handler)
{
    return PyErr_ExceptionMatches(PyExc_Exception) ? handle(handler, NULL, NULL, 0) : NULL;
}

/* Call, and record it.  `key` is given up. */
static inline PyObject *
record(PyObject *on, int is_monotonic, PyObject *key, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *result = NULL;
    Reading began = {0};
    key = key == NULL ? NULL : small_key(OF(on, WORD_STORED), key);
    if (key == NULL && (key = handle_exception(OF(on, WORD_UNKEYED))) == NULL) {
        return NULL;
    }
    if (read_clock(is_monotonic, OF(on, WORD_CLOCK), &began) < 0
        && (began.odd = handle_exception(OF(on, WORD_UNTIMED))) == NULL) {
        goto done;
    }
    PyObject *function = OF(on, WORD_FUNCTION);
    if (PyFunction_Check(function)) { /* what PyObject_Vectorcall() does, but for a look at the result */
        result = ((PyFunctionObject *)function)->vectorcall(function, args, nargsf, kwnames);
    }
    else {
        result = PyObject_Vectorcall(function, args, nargsf, kwnames);
    }
    if (result == NULL) {
        PyObject *error = taken_error(), *first = reading_as_object(&began);
        if (first == NULL) {
            PyErr_Clear(); /* no memory: the call's own failure matters more */
        }
        raise_again(error);
        if (first != NULL) {
            handle(OF(on, WORD_FAIL), first, key, 1);
            Py_DECREF(first);
        }
    }
    else if (OF(on, WORD_INTAKE) != Py_None && record_end(on, is_monotonic, &began, key) < 0) {
        PyObject *said = handle_exception(OF(on, WORD_DROPPED));
        if (said == NULL) {
            Py_CLEAR(result);
        }
        Py_XDECREF(said);
    }
done:
    Py_XDECREF(began.odd);
    Py_DECREF(key);
    return result;
}

/* Answer a call of a window's wrapper.  NULL without an exception: a doubt, and nothing has happened. */
static PyObject *
answer_record(Call *call, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Bound bound;
    PyObject *key = NULL, *result = NULL, *on = Py_NewRef(call->together);
    int made = 0, is_monotonic = call->is_monotonic; /* as it begins: to make the key may change what the wrapper knows */
    if (bind_call(call, &bound, args, nargsf, kwnames)) {
        made = bind_key(call, &bound);
        key = bound.key;
        bound.key = NULL;
    }
    bound_end(&bound);
    if (made != 0) {
        result = record(on, is_monotonic, key, args, nargsf, kwnames);
    }
    Py_DECREF(on);
    return result;
}

/* ---- percentiles */

PyDoc_STRVAR(percentile_cells_doc, "percentile_cells(cells, *shares): the cell of a histogram that each share in percent of\n"
             "what it holds reaches, by nearest rank; None for each if it holds nothing.");

static PyObject *
percentile_cells(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || !PyList_CheckExact(args[0]) || PyList_GET_SIZE(args[0]) > CELLS) {
        PyErr_SetString(PyExc_TypeError, "percentile_cells() takes a list of cells, and shares");
        return NULL;
    }
    int64_t below[CELLS], total = 0;
    Py_ssize_t size = PyList_GET_SIZE(args[0]);
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *times = PyList_GET_ITEM(args[0], i);
        if (!PyLong_CheckExact(times)) {
            PyErr_SetString(PyExc_TypeError, "percentile_cells() takes whole numbers");
            return NULL;
        }
        long long number = PyLong_AsLongLong(times);
        if (number == -1 && PyErr_Occurred()) {
            return NULL;
        }
        below[i] = total += number;
    }
    PyObject *found = PyList_New(nargs - 1);
    for (Py_ssize_t j = 1; found != NULL && j < nargs; j++) {
        double share = PyFloat_AsDouble(args[j]), rank = ceil(share * (double)total / 100);
        Py_ssize_t i = 0;
        while (i < size - 1 && (double)below[i] < (rank < 1 ? 1 : rank)) {
            i++;
        }
        PyObject *cell = share == -1 && PyErr_Occurred() ? NULL
            : total <= 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(i);
        if (cell == NULL) {
            Py_CLEAR(found);
            break;
        }
        PyList_SET_ITEM(found, j - 1, cell);
    }
    return found;
}

static PyMethodDef window_functions[] = {
    {"percentile_cells", (PyCFunction)(void (*)(void))percentile_cells, METH_FASTCALL, percentile_cells_doc},
    {NULL},
};

static int
add_window(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if ((state->window_ok = PyUnicode_InternFromString("ok")) == NULL ||
        (state->window_direct = PyUnicode_InternFromString("direct")) == NULL ||
        (state->window_queue = PyUnicode_InternFromString("queue")) == NULL ||
        (state->window_relieve = PyUnicode_InternFromString("_relieve")) == NULL ||
        (state->Tape = add_type(module, &tape_spec, NULL)) == NULL ||
        (state->TimeFields = add_type(module, &time_fields_spec, NULL)) == NULL ||
        (state->IntakeFields = add_type(module, &intake_spec, NULL)) == NULL) {
        return -1;
    }
    return PyModule_AddFunctions(module, window_functions);
}

/* ======================================================================================================== 9 Module
 *
 * Initialisation in several phases (PEP 489), state and end of the module.  The state owns what its rows name.
 */

static int
speed_exec(PyObject *module)
{
    static int (*const sections[])(PyObject *) = {
        add_nodes, add_store, add_flights, add_call, add_proxy, add_coroutine, add_window,
    };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (sections[i](module) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
speed_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    (void)state, (void)visit, (void)arg;
#define V(name) Py_VISIT(state->name);
    STATE_TYPES(V)
    STATE_OBJECTS(V)
#undef V
    return 0;
}

static int
speed_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    free_waiting(state); /* before the types, and objects before these: what dies here may read its type */
#define V(name) Py_CLEAR(state->name);
    STATE_OBJECTS(V)
    STATE_TYPES(V)
#undef V
    return 0;
}

static void
speed_free(void *module)
{
    speed_clear((PyObject *)module);
}

static PyMethodDef speed_methods[] = {
    {"know", (PyCFunction)(void (*)(void))know, METH_VARARGS | METH_KEYWORDS, know_doc},
    {"forked", (PyCFunction)forked, METH_NOARGS, forked_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot speed_slots[] = {
    {Py_mod_exec, speed_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef speed_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "memo._native._speed",
    .m_doc = "The hot path of the package in C.",
    .m_size = sizeof(State),
    .m_methods = speed_methods,
    .m_slots = speed_slots,
    .m_traverse = speed_traverse,
    .m_clear = speed_clear,
    .m_free = speed_free,
};

PyMODINIT_FUNC
PyInit__speed(void)
{
    return PyModuleDef_Init(&speed_module);
}
