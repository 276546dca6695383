// Package nnet trains and runs the hazard network; it is the only door to
// Gorgonia.
//
// # Using it
//
//	net, err := nnet.Shipped()        // or nnet.Load(bytes of a weight file)
//	scores, err := net.Score(&f)      // f from model.Extractor
//	defer net.Close()
//
// The caller's duties: one goroutine owns a Network (a tape machine is not safe
// from two); features come from model.Extractor of the same version (Load
// compares the schema's hash); a score is a warning, never a licence to trade:
// the gate's rules stand without it.
//
// # Design
//
// A weight file holds heads. A head is one small perceptron (inputs and their
// missing flags, tanh layers, one logit) for one task and one set of inputs,
// with its normalisation, calibration and warning threshold, and beside it a
// logistic regression on the same inputs that it has to beat. For each kind
// the richest head whose required inputs are present answers. Heads share no
// layer: no recording has both tasks' inputs and labels, and a shared layer
// would learn which data set a row is from by what is missing in it.
//
// Training and inference are two graphs (graph.go): every leaf of a Gorgonia
// graph needs a value, and a live station has no label. The inference graph is
// built once per head and reused; it owns its input tensor. A second, plain
// implementation (mlp.go) scores whole data sets, explains scores by integrated
// gradients and is what the graph is tested against.
//
// Training is deterministic: seeded initialisers of our own (Gorgonia's seed
// from the clock), seeded sampling, a graph, a generator and a goroutine for each
// member. Members of a head are joined into one block-diagonal network whose
// logit is their mean: file, graph and explanation need not know. Epoch,
// calibration and threshold are chosen on the validation split; the test split is read by
// evaluation alone.
//
// # Refused
//
// Gob or ONNX for weights: a gob in graph-walk order loads into another graph
// and answers nonsense; the format here is text with names, shapes, schema hash,
// checksum and a self-test (format.go). A recurrent or convolutional network:
// 10 to 100 times the cost on a Pi, for hourly labels that do not carry it.
// A linear path beside the network and soft targets for the wind head: they
// validated within the spread of seeds (docs/model.md).
// Hour and season as inputs: a sample's clock is monotonic. Absolute pressure
// and wind direction: they name the station.
//
// docs/model.md is the model card: data, splits, results, limits.
package nnet
