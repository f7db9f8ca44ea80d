/* memo._native.speed: the hot path of the package in C.
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

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000
#  error "made for CPython 3.11 to 3.13: elsewhere the package runs without this extension"
#endif
#ifdef Py_GIL_DISABLED
#  error "counts on the interpreter lock: free-threaded builds run without this extension"
#endif

/* What the module owns, by section: a name for each type, and for each other object.  A section writes its names into its
 * own two rows (`#define NODES_TYPES(V) V(Node) V(Entry)`); fields, traversal and clearing follow from them. */
#define NODES_TYPES(V)
#define NODES_OBJECTS(V)

#define STORE_TYPES(V)
#define STORE_OBJECTS(V)

#define FLIGHTS_TYPES(V)
#define FLIGHTS_OBJECTS(V)

#define CALL_TYPES(V)
#define CALL_OBJECTS(V)

#define PROXY_TYPES(V)
#define PROXY_OBJECTS(V)

#define COROUTINE_TYPES(V)
#define COROUTINE_OBJECTS(V)

#define WINDOW_TYPES(V)
#define WINDOW_OBJECTS(V)

#define STATE_TYPES(V) NODES_TYPES(V) STORE_TYPES(V) FLIGHTS_TYPES(V) CALL_TYPES(V) PROXY_TYPES(V) COROUTINE_TYPES(V) \
    WINDOW_TYPES(V)
#define STATE_OBJECTS(V) NODES_OBJECTS(V) STORE_OBJECTS(V) FLIGHTS_OBJECTS(V) CALL_OBJECTS(V) PROXY_OBJECTS(V) \
    COROUTINE_OBJECTS(V) WINDOW_OBJECTS(V)

typedef struct {
#define V(name) PyTypeObject *name;
    STATE_TYPES(V)
#undef V
#define V(name) PyObject *name;
    STATE_OBJECTS(V)
#undef V
    /* What is no object, by section. */
    char unused; /* the first field that comes takes its place */
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
 * Node, Entry, Queue, Ghost, Share; what the adaptive policy and S3-FIFO do when an entry comes into a full store.
 */

static int
add_nodes(PyObject *module)
{
    (void)module;
    return 0;
}

/* ========================================================================================================= 3 Store
 *
 * The lean put: its lock, what it counts.
 */

static int
add_store(PyObject *module)
{
    (void)module;
    return 0;
}

/* ======================================================================================================= 4 Flights
 *
 * A miss that nobody else leads, from its begin to its end.
 */

static int
add_flights(PyObject *module)
{
    (void)module;
    return 0;
}

/* ========================================================================================================== 5 Call
 *
 * A call of a decorated function: binding, key, look-up, clock, count.
 */

static int
add_call(PyObject *module)
{
    (void)module;
    return 0;
}

/* ========================================================================================================= 6 Proxy
 *
 * The decorated function itself: called without a frame in between, as a function or as a method.
 */

static int
add_proxy(PyObject *module)
{
    (void)module;
    return 0;
}

/* ===================================================================================================== 7 Coroutine
 *
 * What a call of a decorated coroutine function returns.
 */

static int
add_coroutine(PyObject *module)
{
    (void)module;
    return 0;
}

/* ======================================================================================================== 8 Window
 *
 * The record of a sliding window.
 */

static int
add_window(PyObject *module)
{
    (void)module;
    return 0;
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
    (void)state;
    /* Objects before types, and lists of dead objects before both: what dies here may read its type. */
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

static PyModuleDef_Slot speed_slots[] = {
    {Py_mod_exec, speed_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef speed_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "memo._native.speed",
    .m_doc = "The hot path of the package in C.",
    .m_size = sizeof(State),
    .m_slots = speed_slots,
    .m_traverse = speed_traverse,
    .m_clear = speed_clear,
    .m_free = speed_free,
};

PyMODINIT_FUNC
PyInit_speed(void)
{
    return PyModuleDef_Init(&speed_module);
}
