// Command program stands for one of ours: the tests pack it instead of compiling those for every platform.
package main

func main() { println("held fast") }
